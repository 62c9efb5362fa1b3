"""The layout of the page on a phone, a tablet and a desktop, with and without data."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.wait import WebDriverWait
from support import call
from tables import COLUMNS, mixed_rows

from vae_cli import load
from vae_cli.data.table_writing import write_table
from vae_cli.explore.export import export_page
from vae_cli.explore.scene import build_scene

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"
    ),
]
WIDTHS = {390: 844, 800: 900, 1280: 900}  # and heights, in pixels
PAGES = ("images", "images without data", "table", "table without data", "long name", "picture")
LONG_NAME = "a-run-with-a-rather-long-name-as-people-give-them_20261124-lr0.005-beta2"
LAST = ".informative .slider:last-child"
MESSAGE = "Without its data: the page starts from the prior."

CONTROLS = """
const box = (found) => found.getBoundingClientRect();
const visible = (selector) => [...document.querySelectorAll(selector)]
  .filter((found) => found.checkVisibility() && found.type !== "file");
"""
OUTSIDE = """
const inside = (small, large) => small.left >= large.left - 1 && small.right <= large.right + 1
  && small.top >= large.top - 1 && small.bottom <= large.bottom + 1;
return visible("h1, .about, section :is(button, input, select, p, canvas, label)")
  .filter((found) => !inside(box(found), box(found.closest("section, header"))))
  .map((found) => `${found.tagName} ${found.className}`);
"""
OVERLAPPING = """
const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1
  || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
return visible("section").flatMap((section) => {
  const found = visible(":is(button, input, select, p)").filter((one) => section.contains(one));
  return found.flatMap((one, index) => found.slice(index + 1)
    .filter((other) => !apart(box(one), box(other)))
    .map((other) => `${one.className} on ${other.className}`));
});
"""
IN_VIEW = """
const box = document.querySelector(arguments[0]).getBoundingClientRect();
return box.top >= 0 && box.bottom <= innerHeight && box.width > 0;
"""


@pytest.fixture(scope="module")
def pages(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one exported page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    *others, last = COLUMNS
    columns = (*others, dataclasses.replace(last, name="a rather long name of a column"))
    write_table(folder / "x.csv", columns, mixed_rows(80, holes=0.1))
    words = ("train", "--data", "x.csv", "--epochs", 1, "--latent-dim", 3, "--name", "x", "-q")
    assert call(*words, cwd=folder).returncode == 0
    images, table = load(home / "runs/small", "cpu"), load(folder / "runs/x", "cpu")
    absent = build_scene(images, None)
    scenes = {
        "images": (images, build_scene(images, images.test_set())),
        "images without data": (images, absent),
        "table": (table, build_scene(table, table.test_set())),
        "table without data": (table, build_scene(table, None)),
        "long name": (images, dataclasses.replace(absent, title=LONG_NAME)),
        "picture": (images, build_scene(images, None, images.sample(1, seed=0))),
    }
    for name, (model, scene) in scenes.items():
        (folder / f"{name}.html").write_text(export_page(model, scene).html)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    with Chrome(options=options, service=ChromeService(DRIVER)) as browser:
        yield browser


def show(browser: Chrome, path: Path, width: int) -> None:
    """Open a page in a window of this width, and wait for the first item."""
    size = {"width": width, "height": WIDTHS[width], "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    shown = "return document.body.dataset.shown !== undefined"
    WebDriverWait(browser, 20, 0.02).until(lambda _: browser.execute_script(shown))


def run(browser: Chrome, script: str, *arguments: object) -> Any:
    return browser.execute_script(script, *arguments)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_everything_has_its_place(browser: Chrome, pages: Path, name: str, width: int) -> None:
    show(browser, pages / f"{name}.html", width)
    assert run(browser, "return document.documentElement.scrollWidth - innerWidth") <= 0
    assert run(browser, CONTROLS + OUTSIDE) == []
    assert run(browser, CONTROLS + OVERLAPPING) == []
    one_line = "const title = document.querySelector('h1'); return title.clientHeight < 40"
    assert run(browser, one_line) == (name != "long name" or width == 1280)
    has_message = name not in {"images", "table", "picture"}
    text = browser.find_element("css selector", "section.controls").text
    assert (MESSAGE in text) == has_message


@pytest.mark.parametrize("name", ["images", "table without data"])
def test_the_item_stays_visible_while_the_last_slider_is_moved_on_a_phone(
    browser: Chrome, pages: Path, name: str
) -> None:
    show(browser, pages / f"{name}.html", 390)
    run(browser, "document.querySelector(arguments[0]).scrollIntoView(false)", LAST)
    assert run(browser, IN_VIEW, ".frame")
    assert run(browser, IN_VIEW, LAST)
