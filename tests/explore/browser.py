"""The page in Chromium: what a test does on it, and reads from it."""

import base64
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
Array = np.ndarray[Any, Any]

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
CLICK_MAP = """
const canvas = document.querySelector(".plane canvas"), box = canvas.getBoundingClientRect();
const place = { clientX: box.left + arguments[0], clientY: box.top + arguments[1] };
canvas.dispatchEvent(new MouseEvent("click", { ...place, bubbles: true }));
"""
TEXT = "return document.querySelector(arguments[0]).textContent"
TEXTS = "return [...document.querySelectorAll(arguments[0])].map((found) => found.textContent)"


def open_browser() -> Chrome:
    """Chromium without a window, which keeps a log of the messages of pages."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(word)
    options.add_argument("--window-size=1500,1000")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=ChromeService(DRIVER))


class Page:
    """An open page."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def open(self, address: str) -> None:
        """Open an address, and wait for the first picture."""
        self.browser.get("about:blank")
        self.browser.get(address)
        self.until(lambda: self.shown() is not None)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        WebDriverWait(self.browser, 20, 0.02).until(lambda _: condition())

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page."""
        return self.browser.execute_script(script, *arguments)

    def shown(self) -> Array | None:
        """The latent whose picture is shown."""
        text = self.run(SHOWN)
        return None if text is None else np.frombuffer(base64.b64decode(text), "<f4")

    def pixels(self, selector: str = ".picture") -> Array:
        """The pixels `(H, W, 3)` of a canvas."""
        height, width, *values = self.run(PIXELS, selector)
        return np.array(values).reshape(height, width, 4)[..., :3]

    def grey_levels(self, selector: str = ".picture") -> Array:
        """The grey levels `(H, W)` of a canvas, which must be grey."""
        pixels = self.pixels(selector)
        assert (pixels[..., :1] == pixels).all()
        return pixels[..., 0]

    def slide(self, selector: str, value: float) -> None:
        """Move a slider, or write a number in a field."""
        self.run(SLIDE, selector, value)

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def click_map(self, x: float, y: float) -> None:
        """Click on the map, at pixels from its upper left corner."""
        self.run(CLICK_MAP, x, y)

    def upload(self, path: object) -> None:
        """Choose a picture file."""
        self.browser.find_element("css selector", ".upload input").send_keys(str(path))

    def wait_for(self, z: Array) -> None:
        """Wait until the picture of a latent is shown, bit for bit."""
        wanted = base64.b64encode(np.float32(z).tobytes()).decode()
        self.until(lambda: self.run(SHOWN) == wanted)

    def text(self, selector: str) -> str:
        return str(self.run(TEXT, selector))

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that fit."""
        return list(self.run(TEXTS, selector))


def grey_levels(item: Array) -> Array:
    """An image `(C, H, W)` in [0, 1] as levels `(H, W, C)` from 0 to 255."""
    return np.asarray((item.transpose(1, 2, 0) * 255).round().astype(int))
