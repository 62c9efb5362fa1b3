"""Train variational autoencoders, and use what they learned.

from vae_cli import load, train

model = load()  # the newest finished run
mean, log_variance = model.encode(images)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_cli.api.model import TrainedModel

__version__ = "0.1.0"


def load(
    run: str | Path | None = None, device: str = "auto", data: str | Path | None = None
) -> "TrainedModel":
    """Load the trained model of a run.

    Args:
        run: its name or folder; None means the newest finished run.
        device: `auto`, `cpu`, `cuda` or `mps`.
        data: the name or path of the data that `held_out` and `data` open; None means the data of
            the run. In a run of somebody else, a path is opened only if it is given here.

    Raises:
        UsageError: there is no such run or device.
        VAEError: its weights are missing or damaged.

    Example:
        >>> model = load()
        >>> images = model.sample(4, seed=0)
        >>> images.shape
        (4, 1, 28, 28)
    """
    from vae_cli.api.model import load_trained  # imports torch, which takes a second
    from vae_cli.device import resolve_device
    from vae_cli.runs.lookup import find_run

    found = find_run(None if run is None else str(run))
    return load_trained(found, resolve_device(device), None if data is None else str(data))


def train(settings: Mapping[str, Any] | None = None, *, name: str | None = None) -> "TrainedModel":
    """Train a model and return it; everything that `vae train` leaves is in `runs/NAME/`.

    Args:
        settings: by section and key, as in a config file, or by the short names of `vae sweep`, as
            in `{"epochs": 1}`; what is missing has its default.
        name: of the run; None makes one from data, network and time.

    Raises:
        UsageError: a setting is not allowed, or the data cannot be used.
        VAEError: the training failed.

    Example:
        >>> model = train({"limit": 256, "epochs": 1})
        >>> model.reconstruct(model.sample(2, seed=0)).items.shape
        (2, 1, 28, 28)
    """
    from vae_cli.api.training import train_model

    return train_model(settings or {}, name)
