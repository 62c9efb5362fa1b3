"""Train variational autoencoders, and use what they learned.

from vae_cli import load

model = load()  # the newest finished run
mean, log_variance = model.encode(images)
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vae_cli.trained import Trained

__version__ = "0.1.0"


def load(run: str | Path | None = None, device: str = "auto") -> "Trained":
    """The model of a run, ready for use.

    Args:
        run: its name or folder; None is the newest that is finished.
        device: `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        UsageError: there is no such run or device.
        VAEError: its weights are missing or damaged.
    """
    from vae_cli import device as devices  # torch takes a second: not where --help passes
    from vae_cli import runs, trained

    return trained.load(runs.find(None if run is None else str(run)), devices.resolve(device))
