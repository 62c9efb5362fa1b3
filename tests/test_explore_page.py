"""The page in a real browser: what a hand does, and what is seen then."""

import base64
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import VAE, call
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.wait import WebDriverWait

from vae_cli import latent, load
from vae_cli.cli import main
from vae_cli.explore.document import PAGE, source
from vae_cli.trained import Trained

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver"
)
Grid = np.ndarray[Any, Any]

PIXELS = """
const canvas = document.querySelector(arguments[0]);
const copy = new OffscreenCanvas(canvas.width, canvas.height);
const pen = copy.getContext("2d", { willReadFrequently: true });
pen.drawImage(canvas, 0, 0);
const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
return [canvas.height, canvas.width, ...data];
"""
SHOWN = "return document.querySelector('.vae-explore')?.dataset.shown ?? null"
SLIDE = """
const slider = document.querySelector(arguments[0]);
slider.value = arguments[1];
slider.dispatchEvent(new Event("input"));
slider.dispatchEvent(new Event("change"));
"""
CLICK = """
const canvas = document.querySelector(".plane canvas"), box = canvas.getBoundingClientRect();
const place = { clientX: box.left + arguments[0], clientY: box.top + arguments[1] };
canvas.dispatchEvent(new MouseEvent("click", { ...place, bubbles: true }));
"""


class Page:
    """An open page."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def open(self, address: str) -> None:
        self.browser.get("about:blank")
        self.browser.get(address)
        self.until(lambda: self.shown() is not None)

    def until(self, holds: Callable[[], object]) -> None:
        WebDriverWait(self.browser, 20, 0.02).until(lambda _: holds())

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def shown(self) -> Grid | None:
        """The latent whose picture is shown."""
        text = self.run(SHOWN)
        return None if text is None else np.frombuffer(base64.b64decode(text), "<f4")

    def pixels(self, selector: str = ".picture") -> Grid:
        """`(H, W, 3)`."""
        height, width, *values = self.run(PIXELS, selector)
        return np.array(values).reshape(height, width, 4)[..., :3]

    def slide(self, selector: str, value: float) -> None:
        self.run(SLIDE, selector, value)

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def wait_for(self, z: Grid) -> None:
        """Until the picture is that of a latent, bit for bit."""
        wanted = base64.b64encode(np.float32(z).tobytes()).decode()
        self.until(lambda: self.run(SHOWN) == wanted)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0]).textContent", selector))


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    options.add_argument("--window-size=1500,1000")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with Chrome(options=options, service=ChromeService(DRIVER)) as chrome:
        yield chrome


@pytest.fixture
def page(browser: Chrome) -> Iterator[Page]:
    """A page that must not have complained when the test ends."""
    browser.get("about:blank")
    browser.get_log("browser")  # what an earlier test left
    yield Page(browser)
    assert browser.get_log("browser") == []


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    words = [VAE, "explore", "--no-browser"]
    with subprocess.Popen(words, cwd=home, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def model(home: Path) -> Trained:
    return load(home / "runs" / "small")


@pytest.fixture(scope="module")
def means(model: Trained) -> Grid:
    """The latents of the test items on the map."""
    return model.encode(model.held_out().items[::2]).mean  # 5,000 of 10,000


def grey(picture: Grid) -> Grid:
    assert (picture[..., :1] == picture).all()
    return picture[..., 0]


def levels(item: Grid) -> Grid:
    """An image `(C, H, W)` in [0, 1] as grey levels `(H, W, C)`."""
    return (item.transpose(1, 2, 0) * 255).round().astype(int)


def traversed(home: Path, *words: object) -> Grid:
    """The one tile that `vae traverse` draws."""
    done = call("traverse", "--scale", 1, "-o", "explored.png", "--quiet", *words, cwd=home)
    assert done.returncode == 0, done.stderr
    with Image.open(home / "explored.png") as picture:
        return np.array(picture).astype(int)[1:-1, 1:-1]


# --------------------------------------------------------------------- with the server


def test_a_slider_shows_what_traverse_shows(
    page: Page, address: str, home: Path, model: Trained, means: Grid
) -> None:
    page.open(address)
    page.slide(".index", 14)
    page.wait_for(means[7])
    page.slide(".shift", 1.5)
    page.wait_for(means[7] + np.float32(1.5))
    tile = traversed(home, "--index", 14, "--offset", "1.5:2:1")
    assert grey(page.pixels()).tolist() == tile.tolist()

    page.click(".reset")
    page.wait_for(means[7])
    dim = int(model.kl_by_dim.argmax())
    page.slide(f"[data-dim='{dim}']", -2.25)
    page.wait_for(means[7] - np.float32(2.25) * np.eye(20, dtype=np.float32)[dim])
    tile = traversed(home, "--index", 14, "--dim", dim, "--offset=-2.25:0:5")
    assert grey(page.pixels()).tolist() == tile.tolist()
    assert grey(page.pixels(".original")).tolist() == model.held_out().items[14, 0].tolist()


def test_dimensions_stand_in_the_order_of_what_they_say(
    page: Page, address: str, model: Trained
) -> None:
    page.open(address)
    found = page.run(
        "return [...document.querySelectorAll(arguments[0])].map(s => Number(s.dataset.dim))",
        ".telling input, .less input",
    )
    order = model.kl_by_dim.argsort(descending=True, stable=True).tolist()
    telling = int((model.kl_by_dim > 0.01).sum())
    assert found == order[:telling]
    assert page.text(".silent summary") == f"{20 - telling} silent dimensions"


def test_an_uploaded_picture_appears_reconstructed(
    page: Page, address: str, home: Path, model: Trained
) -> None:
    page.open(address)
    picture = home / "upload.png"
    Image.fromarray(model.held_out().items[42, 0].numpy()).save(picture)
    page.browser.find_element("css selector", ".upload input").send_keys(str(picture))
    page.wait_for(model.encode(model.held_out().items[42]).mean[0])
    done = call("reconstruct", picture, "--scale", 1, "-o", "beside.png", "-q", cwd=home)
    assert done.returncode == 0, done.stderr
    with Image.open(home / "beside.png") as grid:
        original, tile = np.split(np.array(grid).astype(int)[1:-1, 1:], 2, axis=1)
    assert grey(page.pixels()).tolist() == tile[:, :-1].tolist()
    assert grey(page.pixels(".original")).tolist() == original[:, :-1].tolist()


def test_the_page_can_start_from_a_picture(page: Page, home: Path, model: Trained) -> None:
    picture = model.held_out().items[8, 0].numpy()
    Image.fromarray(picture).save(home / "start.png")
    page.open(exported(home, "--image", home / "start.png").as_uri())
    page.wait_for(model.encode(picture).mean[0])
    assert grey(page.pixels(".original")).tolist() == picture.tolist()


def test_a_picture_that_is_none_is_refused_in_one_line(
    page: Page, address: str, home: Path
) -> None:
    page.open(address)
    before = page.pixels()
    (home / "none.png").write_bytes(b"no picture")
    page.browser.find_element("css selector", ".upload input").send_keys(str(home / "none.png"))
    page.until(lambda: page.text(".message"))
    assert page.text(".message") == "The picture is not a picture that Pillow can read"
    assert (page.pixels() == before).all()
    (failed,) = page.browser.get_log("browser")  # Chromium notes every answer of 400
    assert "400" in failed["message"]


def test_a_click_on_the_map_goes_there(
    page: Page, address: str, model: Trained, means: Grid
) -> None:
    page.open(address)
    points, axes, center, _ = (part.numpy() for part in latent.pca(torch.from_numpy(means)))
    low, high = 1.06 * points.min(0), 1.06 * points.max(0)
    size = page.run("return document.querySelector('.plane canvas').clientWidth")
    places = (points - low) / (high - low) * size
    places[:, 1] = size - places[:, 1]
    chosen = int(np.linalg.norm(places - size / 2, axis=1).argmax())  # none lies near it
    page.run(CLICK, *places[chosen].round().tolist())
    page.wait_for(means[chosen])
    assert levels(model.decode(means[chosen])[0])[..., 0].tolist() == grey(page.pixels()).tolist()

    page.run(CLICK, 1, 1)  # a corner, where no item lies: the point of the plane itself
    corner = (np.array([1, size - 1]) / size * (high - low) + low).astype(np.float32)
    page.until(lambda: np.abs(page.shown() - (center + corner @ axes)).max() < 1e-3)


def test_undo_links_and_blends(page: Page, address: str, means: Grid) -> None:
    page.open(address)
    first = page.shown()
    assert first is not None
    page.click(".set-a")
    page.slide(".index", 10)
    end = means[5]
    page.wait_for(end)
    page.click(".set-b")
    page.slide(".blend-slider", 0.5)
    middle = latent.path(torch.from_numpy(np.stack([first, end])), 3, spherical=True)[0, 1].numpy()
    page.until(lambda: np.abs(page.shown() - middle).max() < 1e-5)
    half_way, picture = page.shown(), page.pixels()

    link = page.browser.current_url
    page.slide(".shift", 1)
    page.wait_for(half_way + np.float32(1))
    page.open(link)
    assert page.shown().tolist() == half_way.tolist()
    assert (page.pixels() == picture).all()

    page.open(address)
    page.slide(".shift", 1)
    page.slide(".shift", 2)
    page.wait_for(first + np.float32(2))
    page.click(".undo")
    page.wait_for(first + np.float32(1))
    page.click(".undo")
    page.wait_for(first)
    assert page.run("return document.querySelector('.undo').disabled")


def test_draws_follow_the_temperature(page: Page, address: str) -> None:
    page.open(address)
    page.slide(".temperature", 0)
    page.click(".draw")
    page.wait_for(np.zeros(20))
    page.slide(".temperature", 1)
    seen = []
    for _ in range(20):
        before = page.shown().tobytes()
        page.click(".draw")
        page.until(lambda before=before: page.shown().tobytes() != before)
        seen.append(page.shown())
    assert np.std(seen) == pytest.approx(1, abs=0.15)


def test_an_address_that_was_cut_short_begins_anew(page: Page, address: str) -> None:
    page.open(address)
    first = page.shown()
    for wrong in ("#start=AAAA", "#start=%", f"#{'x' * 999}", "#blend=NaN"):
        page.open(address + wrong)
        assert page.shown().tolist() == first.tolist()


# --------------------------------------------------------------------- without


def exported(home: Path, *words: object) -> Path:
    path = home / "page.html"
    done = call("explore", "--export", path, *words, cwd=home)
    assert done.returncode == 0, done.stderr
    return path


def check_exported(page: Page, path: Path, model: Trained) -> None:
    """The page from the disk shows what the model makes, within a grey level."""
    page.open(path.as_uri())
    start = page.shown()
    for shift in (0, -1, 2.5):
        page.slide(".shift", shift)
        page.wait_for(start + np.float32(shift))
        wanted = levels(model.decode(start + np.float32(shift))[0])
        assert np.abs(page.pixels() - wanted).max() <= 1
    asked = page.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in asked if not name.startswith(("data:", "blob:"))] == []


def test_the_exported_file_shows_the_same_without_a_server(
    page: Page, home: Path, model: Trained
) -> None:
    path = exported(home)
    assert path.stat().st_size < 900_000
    check_exported(page, path, model)


def test_so_does_one_of_a_convolutional_network(page: Page, tmp_path: Path) -> None:
    words = ("--data", "shapes", "--model", "conv", "--limit", 256, "--epochs", 1, "--name", "x")
    done = call("train", *words, "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_exported(page, exported(tmp_path), load(tmp_path / "runs" / "x"))


def test_colours_and_odd_sizes(page: Page, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (64, 17, 30, 3), np.uint8)
    np.save(tmp_path / "x.npy", pictures)
    done = call("train", "--data", "x.npy", "--epochs", 1, "--name", "x", "-q", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_exported(page, exported(tmp_path), load(tmp_path / "runs" / "x"))


def test_a_model_that_is_too_large_shows_what_was_decoded_beforehand(
    page: Page, home: Path, model: Trained, means: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.explore.export.MOST_WORK", 1000)
    monkeypatch.chdir(home)
    assert main(["explore", "--export", "tiles.html"]) == 0
    page.open((home / "tiles.html").as_uri())
    points, axes, center, _ = (part.numpy() for part in latent.pca(torch.from_numpy(means)))
    points = points[::10]
    for shift in (3, -1.5):
        page.slide(".shift", shift)
        at = points[0] + np.float32(shift)
        page.until(lambda at=at: np.abs(page.shown() - at).max() < 1e-4)
        tile = [
            np.linspace(low, high, 31)[round(30 * np.clip((x - low) / (high - low), 0, 1))]
            for x, low, high in zip(at, points.min(0), points.max(0), strict=True)
        ]
        wanted = levels(model.decode(center + np.float32(tile) @ axes)[0])
        assert np.abs(page.pixels() - wanted).mean() < 3, "but for WebP's loss"


def test_a_table_shows_its_columns(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(0).normal(size=(80, 3))
    text = "\n".join(",".join(f"{value:.4f}" for value in row) for row in rows)
    (tmp_path / "x.csv").write_text(f"height,width,<b>depth\n{text}\n")
    words = ("--data", "x.csv", "--epochs", 2, "--latent-dim", 2, "--name", "x")
    assert call("train", *words, "-q", cwd=tmp_path).returncode == 0
    page.open(exported(tmp_path).as_uri())
    model = load(tmp_path / "runs" / "x")
    z = page.shown() + np.float32(1)
    page.slide(".shift", 1)
    page.wait_for(z)
    cells = "return [...document.querySelectorAll(arguments[0])].map(cell => cell.textContent)"
    assert page.run(cells, ".values th") == ["height", "width", "<b>depth"]
    values = [float(text) for text in page.run(cells, ".values td")]
    np.testing.assert_allclose(values, model.decode(z)[0], rtol=1e-3, atol=1e-4)

    monkeypatch.setattr("vae_cli.explore.export.MOST_NUMBERS", 10)
    monkeypatch.chdir(tmp_path)
    assert main(["explore", "--export", "large.html"]) == 2
    assert "use vae explore without --export" in capsys.readouterr().err
    assert not (tmp_path / "large.html").exists()


# --------------------------------------------------------------------- in a notebook

NOTEBOOK = """<!doctype html><meta charset=utf-8><div id=cell></div><script type=module>
{module}
// what anywidget hands to a widget; the kernel's part is played by the test
const heard = [];
let listener;
window.asked = [];
const model = {{
  get: () => ({facts}),
  on: (_, action) => {{ listener = action; }},
  send: (question, _, buffers) => window.asked.push([question, [...new Uint8Array(buffers[0])]]),
}};
const view = (content) => new DataView(Uint8Array.from(content).buffer);
window.answer = (id, content) => listener({{ id }}, [view(content)]);
widget.render({{ model, el: document.getElementById("cell") }});
</script>"""


def test_the_widget_asks_the_kernel(page: Page, tmp_path: Path, model: Trained) -> None:
    explorer = model.explore()
    module = source(*PAGE, "widget.js").replace("export default", "const widget =")
    text = NOTEBOOK.format(module=module, facts=json.dumps(explorer.facts))
    (tmp_path / "cell.html").write_text(text)
    page.browser.get((tmp_path / "cell.html").as_uri())
    page.until(lambda: page.run("return (window.asked ?? []).length") == 2)
    sent: list[Any] = []
    explorer.send = lambda content, buffers: sent.append((content, buffers))
    for question, content in page.run("return window.asked"):
        explorer.answer(explorer, question, [bytes(content)] if content else [])
    for content, (item,) in sent:
        page.run("window.answer(arguments[0], arguments[1])", content["id"], list(item))
    page.until(lambda: page.shown() is not None)
    item = model.held_out().items[0]
    tile = levels(model.decode(model.encode(item).mean)[0])
    assert grey(page.pixels()).tolist() == tile[..., 0].tolist()
    page.until(lambda: page.pixels(".original").shape[:2] == (28, 28))
    assert grey(page.pixels(".original")).tolist() == item[0].tolist()
