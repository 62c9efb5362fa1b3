"""A model, and pages in a browser, for the tests of the page."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from explore.browser import CHROMIUM, DRIVER, Array, Page, open_browser
from selenium.webdriver import Chrome

from vae_cli import load, train
from vae_cli.api.model import TrainedModel


@pytest.fixture(scope="session")
def model(home: Path) -> TrainedModel:
    """A model of Fashion-MNIST with 20 latent dimensions; it must not be changed."""
    return load(home / "runs/small", device="cpu")


@pytest.fixture(scope="session")
def means(model: TrainedModel) -> Array:
    """The latents of the test items on the map: all that the run held out."""
    split = model.held_out()
    return np.asarray(model.encode(split.items[split.rows]).mean)


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model of a table whose values are so small that float16 would not change a pixel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("table"))
        scales = np.array([1e-4, 1e-3, 1e-2])
        np.save("rows.npy", np.random.default_rng(0).normal(size=(80, 3)) * scales)
        settings = {
            "data": {"name": "rows.npy"},
            "model": {"latent_dim": 2, "hidden": [8]},
            "likelihood": {"name": "columns", "normalization": "standard"},
            "training": {"epochs": 1, "device": "cpu"},
        }
        return train(settings)


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model of images that is told their class, with a prior of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("told"))
        random, labels = np.random.default_rng(0), np.arange(120) % 3
        pixels = random.integers(0, 90, (120, 6, 5)) + 80 * labels[:, None, None]
        names = np.array(["Bag", "Coat", "Shirt"])[labels]
        np.savez("images.npz", images=pixels.astype(np.uint8), labels=names)
        settings = {
            "data": {"name": "images.npz", "condition": ["label"]},
            "model": {"latent_dim": 3, "hidden": [8]},
            "prior": {"name": "conditional"},
            "training": {"epochs": 1, "device": "cpu"},
        }
        return train(settings)


@pytest.fixture(scope="session")
def told_rows(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model of the rows of a table that is told a category, a number and a date of each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("told-rows"))
        random = np.random.default_rng(0)
        lines = [
            f"{random.normal():.3f},{'FM'[row % 2]},{row % 50},2024-01-{1 + row % 28:02},{row % 7}"
            for row in range(200)
        ]
        Path("rows.csv").write_text("\n".join(["x,sex,age,since,z", *lines]) + "\n")
        settings = {
            "data": {"name": "rows.csv", "condition": ["sex", "age", "since"]},
            "model": {"latent_dim": 2, "hidden": [8]},
            "training": {"epochs": 1, "device": "cpu"},
        }
        return train(settings)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    """Chromium without a window."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs Debian's chromium and chromium-driver")
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Chrome) -> Iterator[Page]:
    """A page; the browser must not have logged an error when the test ends."""
    browser.get("about:blank")
    browser.get_log("browser")  # removes the messages of an earlier test
    yield Page(browser)
    assert browser.get_log("browser") == []
