"""How soon the page of `vae explore` shows a new picture after a slider was moved.

    python tests/benchmarks/frames.py ADDRESS

opens the page at an address in headless Chromium and moves a slider. The address is the one that
`vae explore --no-browser` prints, or the file:// of an exported page. The result is the time from
each move until its picture is drawn, in milliseconds.
"""

import shutil
import sys

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.wait import WebDriverWait

MOVES = 300
SHOWN = "return document.querySelector('.vae-explore')?.dataset.shown"
MEASURE = """
const [moves, done] = arguments, times = [];
const slider = document.querySelector(".shift"), root = document.querySelector(".vae-explore");
for (let move = 0; move < moves; move++) {
  const drawn = new Promise((seen) => {
    const watch = new MutationObserver(() => { watch.disconnect(); seen(); });
    watch.observe(root, { attributes: true, attributeFilter: ["data-shown"] });
  });
  const began = performance.now();
  slider.value = move % 2 ? 1 + move / moves : -1 - move / moves;
  slider.dispatchEvent(new Event("input"));
  await drawn;
  times.push(performance.now() - began);
}
done(times);
"""


def frames(address: str, moves: int = MOVES) -> list[float]:
    """The milliseconds of each move, sorted."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(word)
    with Chrome(options=options, service=ChromeService(shutil.which("chromedriver"))) as chrome:
        chrome.get(address)
        WebDriverWait(chrome, 20).until(lambda _: chrome.execute_script(SHOWN))
        script = f"(async (...arguments) => {{{MEASURE}}})(...arguments)"
        times: list[float] = chrome.execute_async_script(script, moves)
    return sorted(times)


if __name__ == "__main__":
    found = frames(sys.argv[1])
    for name, share in (("median", 0.5), ("95 of 100 within", 0.95), ("all within", 1.0)):
        sys.stdout.write(f"{name} {found[round(share * (len(found) - 1))]:.1f} ms\n")
