"""The widget in a notebook: what the kernel answers, and what the page shows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explore.browser import Page, grey_levels

from vae_cli.api.model import TrainedModel
from vae_cli.explore import explore
from vae_cli.explore.scene import PAGE, build_scene, read_static
from vae_cli.explore.widget import Explorer

NOTEBOOK = """<!doctype html><meta charset=utf-8><div id=cell></div><script type=module>
{module}
// what anywidget gives to a widget; the test takes the place of the kernel
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


class Kernel:
    """A widget, and the answers that it sent."""

    def __init__(self, widget: Explorer) -> None:
        self.widget = widget
        self.sent: list[tuple[dict[str, Any], bytes]] = []
        widget.send = lambda content, buffers: self.sent.append((content, bytes(*buffers)))

    def ask(self, question: dict[str, Any], content: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """What the widget sends after a question of the page."""
        self.widget.answer(self.widget, question, [content] if content else [])
        return self.sent[-1]


@pytest.fixture(scope="module")
def kernel(model: TrainedModel) -> Kernel:
    return Kernel(explore(model))


def test_the_widget_has_the_facts_of_the_scene(kernel: Kernel, model: TrainedModel) -> None:
    assert kernel.widget.facts == build_scene(model, model.test_set()).facts()


def test_a_latent_is_decoded_as_in_the_api(kernel: Kernel, model: TrainedModel) -> None:
    z = np.random.default_rng(0).normal(size=20).astype("<f4")
    answer, content = kernel.ask({"id": 7}, z.tobytes())
    assert answer == {"id": 7}
    assert content == (model.decode(z)[0] * 255).round().astype(np.uint8).tobytes()


def test_a_test_item_is_sent_unchanged(kernel: Kernel, model: TrainedModel) -> None:
    answer, content = kernel.ask({"id": 8, "item": 17})
    assert answer == {"id": 8}
    assert content == model.held_out().items[17].numpy().tobytes()


@pytest.mark.slow
def test_the_page_in_a_notebook_shows_what_the_kernel_answers(
    page: Page, tmp_path: Path, kernel: Kernel, model: TrainedModel
) -> None:
    module = read_static(*PAGE, "widget.js").replace("export default", "const widget =")
    text = NOTEBOOK.format(module=module, facts=json.dumps(kernel.widget.facts))
    (tmp_path / "cell.html").write_text(text)
    page.browser.get((tmp_path / "cell.html").as_uri())
    page.until(lambda: page.run("return (window.asked ?? []).length") == 2)
    for question, content in page.run("return window.asked"):
        answer, item = kernel.ask(question, bytes(content))
        page.run("window.answer(arguments[0], arguments[1])", answer["id"], list(item))
    page.until(lambda: page.shown() is not None)
    item = model.held_out().items[0]
    tile = grey_levels(model.decode(model.encode(item).mean)[0])
    assert page.grey_levels().tolist() == tile[..., 0].tolist()
    page.until(lambda: page.pixels(".original").shape[:2] == (28, 28))
    assert page.grey_levels(".original").tolist() == item[0].tolist()
