"""A network that would need too much memory is refused before a run begins."""

import dataclasses
from collections.abc import Sequence

from vae_cli.build import build_on_meta
from vae_cli.config import Config
from vae_cli.errors import UsageError

MAX_TRAINING_BYTES = 4 * 2**30
BYTES_PER_PARAMETER = 16  # the weight, its gradient and Adam's two moments, each in float32
SIDES = (256, 128, 64, 32, 16)  # pixels; the sizes of pictures that a message suggests
WIDTHS = tuple(2**power for power in range(15, -1, -1))  # of hidden layers, the same


def require_affordable(config: Config, shape: Sequence[int], *, resizable: bool) -> None:
    """Check the memory for the parameters of a network and for their training.

    The network is built on the meta device, where its weights need no memory.

    Args:
        config: the settings; the network must not be `auto`.
        shape: `(C, H, W)` of an image or `(D,)` of a row.
        resizable: whether `--image-size` changes the shape.

    Raises:
        UsageError: it needs too much; the message gives the number of parameters, and a size that
            works.
    """
    needed = training_bytes(config, shape)
    if needed > MAX_TRAINING_BYTES:
        raise UsageError(
            f"{config.model.network} with {needed // BYTES_PER_PARAMETER:,} parameters takes "
            f"{needed / 2**30:,.0f} GiB to train, and {MAX_TRAINING_BYTES >> 30} GiB are allowed: "
            f"{_remedy(config, shape, resizable=resizable)}"
        )


def training_bytes(config: Config, shape: Sequence[int]) -> int:
    """The memory of all parameters, gradients and moments of a network."""
    parameters = build_on_meta(config, shape).parameters()
    return BYTES_PER_PARAMETER * sum(parameter.numel() for parameter in parameters)


def _remedy(config: Config, shape: Sequence[int], *, resizable: bool) -> str:
    """The largest size of pictures that fits, or else the largest hidden layers that do."""
    for side in SIDES if resizable else ():
        if training_bytes(config, (shape[0], side, side)) <= MAX_TRAINING_BYTES:
            return f"try --image-size {side}"
    for width in WIDTHS:
        hidden = tuple(min(width, layer) for layer in config.model.hidden)
        model = dataclasses.replace(config.model, hidden=hidden)
        narrow = dataclasses.replace(config, model=model)
        if training_bytes(narrow, shape) <= MAX_TRAINING_BYTES:
            return f"try --hidden {','.join(map(str, hidden))}"
    return "make the items smaller"
