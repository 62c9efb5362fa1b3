"""The page in a notebook: its link is the kernel, through anywidget."""

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from vae_cli.data import Split, gather
from vae_cli.errors import UsageError
from vae_cli.explore.document import PAGE, source
from vae_cli.explore.frames import frame
from vae_cli.explore.scene import Space, survey

try:
    import anywidget
    import traitlets
except ModuleNotFoundError as error:
    raise UsageError(f"this needs {error.name}: pip install 'vae-cli[notebook]'") from error


@final
class Explorer(anywidget.AnyWidget):
    """Sliders over a latent space; anywidget shows what a cell returns.

    Args:
        space: the model.
        title: what it is called.
        kl: of each dimension, in nats, `(D,)`.
        split: the test set.
    """

    _esm = source(*PAGE, "widget.js")
    _css = source("page.css")
    facts = traitlets.Dict().tag(sync=True)

    def __init__(self, space: Space, title: str, kl: ArrayLike, split: Split) -> None:
        super().__init__(facts=survey(space, title, kl, split).facts())
        self.space = space
        self.split = split
        self.on_msg(self.answer)

    def answer(self, _: Any, question: dict[str, Any], buffers: list[Any]) -> None:
        """Answer the page: a latent is decoded, a number is a test item."""
        spec = self.space.spec
        if "item" in question:
            row = self.split.rows[[int(question["item"])]]
            content = frame(gather(self.split.items, row), spec)
        else:
            content = frame(self.space.decode(np.frombuffer(buffers[0], "<f4")), spec)
        self.send({"id": question["id"]}, [content])
