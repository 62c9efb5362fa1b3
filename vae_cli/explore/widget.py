"""The page in a notebook. Its link is the kernel, through anywidget."""

from typing import Any, final

import numpy as np

from vae_cli.api.model import TrainedModel
from vae_cli.data.dataset import NamedSplit
from vae_cli.errors import UsageError
from vae_cli.explore.content import decode_to_bytes, item_to_bytes
from vae_cli.explore.scene import PAGE, build_scene, read_static

try:
    import anywidget
    import traitlets
except ModuleNotFoundError as error:
    raise UsageError(f"this needs {error.name}: pip install 'vae-cli[notebook]'") from error


@final
class Explorer(anywidget.AnyWidget):
    """Sliders over a latent space; a notebook shows it when a cell returns it.

    Args:
        model: the model.
        test: the test set.
    """

    _esm = read_static(*PAGE, "widget.js")
    _css = read_static("page.css")
    facts = traitlets.Dict().tag(sync=True)

    def __init__(self, model: TrainedModel, test: NamedSplit) -> None:
        super().__init__(facts=build_scene(model, test).facts())
        self.model, self.split = model, test.split
        self.on_msg(self.answer)

    def answer(self, _: Any, question: dict[str, Any], buffers: list[Any]) -> None:
        """Answer the page: decode a position, or send a test item."""
        if "item" in question:
            content = item_to_bytes(self.model.spec, self.split.items_at([int(question["item"])]))
        else:
            content = decode_to_bytes(self.model, np.frombuffer(buffers[0], "<f4"))
        self.send({"id": question["id"]}, [content])
