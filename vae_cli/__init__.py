"""Train variational autoencoders, and use what they learned.

    from vae_cli import load, train

    model = load()  # the newest finished run; train({"epochs": 5}) trains a new one
    mean, log_variance = model.encode(images)
    images = model.sample(16, seed=0)

The packages inside, from the outermost; each imports only those below it:

    cli         the commands
    explore     the page of sliders
    api         trained models for a notebook: arrays in, arrays out
    evaluation  figures of a trained model, with their errors
    runs        one run's life: resolved, trained, saved, resumed, compared
    settings    what can be set, and what is built from it
    rendering   pictures, tables, maps and curves
    training    state, step, epoch, loop
    latent      traversal, interpolation, projection, sampling
    model       posteriors, priors, likelihoods, networks, objectives, and the VAE that joins them
    data        data sets, from whatever files, and batches
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

    It has the weights of the epoch with the lowest loss on the held-out items, and is in evaluation
    mode. Nothing is trained, and the data of the run are opened only when they are asked for.

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
    from vae_cli.processes import read_place
    from vae_cli.runs.lookup import find_run

    found = find_run(None if run is None else str(run))
    own = resolve_device(device, read_place())  # several processes may use the model together
    return load_trained(found, own, None if data is None else str(data))


def train(settings: Mapping[str, Any] | None = None, *, name: str | None = None) -> "TrainedModel":
    """Train a model and return it; everything that `vae train` leaves is in `runs/NAME/`.

    Unless the settings say otherwise, a training minimizes the negative evidence lower bound,

        −E_q(z|x) log p(x|z) + β KL(q(z|x) ‖ p(z)),

    over the weights of encoder and decoder together, with one sample z of the posterior for each
    item (Kingma & Welling, 2014, https://arxiv.org/abs/1312.6114), and returns the weights of the
    epoch with the lowest loss on the held-out items.

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
    from vae_cli.api.model import load_trained
    from vae_cli.device import resolve_device
    from vae_cli.errors import UsageError, mark
    from vae_cli.runs.directory import create_run, require_free_name
    from vae_cli.runs.resolve import resolve
    from vae_cli.runs.start import start_layers
    from vae_cli.runs.train import train_run
    from vae_cli.settings import merge

    if name is not None:
        require_free_name(name)
    layer = ("settings", settings or {})
    config = merge(layer)
    if config.training.start:
        config = merge(*start_layers(config.training.start, [layer]))
    if (count := config.training.processes) > 1:
        raise UsageError(
            f"{mark(f'training.processes={count}')}: Python trains in one process; several are "
            f"started by vae train --processes {count}"
        )
    resolved = resolve(config, resolve_device(config.training.device))
    finished = train_run(create_run(resolved.config, name), resolved)
    return load_trained(finished.run, resolved.device)
