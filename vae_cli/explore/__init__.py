"""A page of sliders over a latent space: from a server, as one file, or in a notebook.

static/page.js  the page, with markup.js, state.js, map.js and numbers.js; a link gives it items:
server.py       a link to a server on this machine for this user alone (static/server.js)
export.py       a link to a decoder in the page, or to tiles that were decoded before (decoder.js)
widget.py       a link to a notebook's kernel (static/widget.js)
scene.py        the facts about a model that the page shows

It is built on `vae_cli.api`, and only `vae_cli.cli` is built on it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_cli.api.model import TrainedModel
    from vae_cli.explore.widget import Explorer


def explore(model: "TrainedModel") -> "Explorer":
    """Sliders over the latent space of a model, as a widget that a notebook shows below its cell.

    Args:
        model: a trained model; the page has a map of the test set of its data.

    Raises:
        UsageError: anywidget is not installed, or the data are missing or do not fit the model.

    Example:
        >>> from vae_cli import load
        >>> sliders = explore(load())  # `explore(load())` as the last line of a cell shows them
    """
    from vae_cli.explore.widget import Explorer  # imports torch and anywidget

    return Explorer(model, model.test_set())
