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
    from vae_cli.api.training import Network
    from vae_cli.model import Likelihood, Objective, Prior

__version__ = "0.1.0"


def load(
    run: str | Path | None = None,
    device: str = "auto",
    data: str | Path | None = None,
    *,
    allow_code: bool = False,
    model: "Network | None" = None,
    objective: "Objective | type[Objective] | None" = None,
    prior: "Prior | type[Prior] | None" = None,
    likelihood: "Likelihood | type[Likelihood] | None" = None,
) -> "TrainedModel":
    """Load the trained model of a run.

    It has the weights of the epoch with the lowest loss on the held-out items, and is in evaluation
    mode. Nothing is trained, and the data of the run are opened only when they are asked for.

    Args:
        run: its name or folder; None means the newest finished run.
        device: `auto`, `cpu`, `cuda` or `mps`.
        data: the name or path of the data that `held_out` and `data` open; None means the data of
            the run. In a run of somebody else, a path is opened only if it is given here.
        allow_code: whether code from outside of this package may be imported that the run names.
        model: the network that `fit` was given, if it cannot be imported by its name.
        objective: the same of the objective.
        prior: the same of the prior.
        likelihood: the same of the likelihood.

    Raises:
        UsageError: there is no such run or device.
        OutsideCodeError: the run needs code that is not known.
        VAEError: its weights are missing or damaged.

    Example:
        >>> model = load()
        >>> images = model.sample(4, seed=0)
        >>> images.shape
        (4, 1, 28, 28)
    """
    from vae_cli.api.model import load_trained  # imports torch, which takes a second
    from vae_cli.api.training import require_parts_of_run, take_parts
    from vae_cli.device import resolve_device
    from vae_cli.processes import read_place
    from vae_cli.runs.lookup import find_run
    from vae_cli.settings.outside import EVERY_NAME, allowing

    own = take_parts(model, objective, prior, likelihood)
    found = find_run(None if run is None else str(run))
    place = resolve_device(device, read_place())  # several processes may use the model together
    with allowing(*[EVERY_NAME][:allow_code]):
        loaded = load_trained(found, place, None if data is None else str(data))
    require_parts_of_run(found, loaded.facts, own)
    return loaded


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
    from vae_cli.api import training

    return training.train(settings or {}, name=name)


def fit(
    data: str | Path,
    *,
    model: "Network | None" = None,
    objective: "Objective | type[Objective] | None" = None,
    prior: "Prior | type[Prior] | None" = None,
    likelihood: "Likelihood | type[Likelihood] | None" = None,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> "TrainedModel":
    """Train with parts of your own, and return the model of the run; docs/extending.md has some.

    A part is a class, whose constructor's parameters are settings, or a module, of which a copy is
    trained from the weights that it has. The run keeps its name, settings and weights, and never
    its code: a class that can be imported is found again by its name, `module:Class`, if that is
    allowed. One of a notebook must be given to `load` and `resume` again.

    Args:
        data: the name or path of the data, as the setting `data.name`.
        model: an encoder and a decoder, a module that has them, or a whole `LatentModel`.
        objective: what is minimized.
        prior: p(z).
        likelihood: p(x|z).
        settings: all others, as in `train`.
        name: of the run; None makes one from data, network and time.

    Raises:
        UsageError: a setting is not allowed, or the data cannot be used.
        OutsideCodeError: a part has not the contract of its kind.
        VAEError: the training failed.

    Example:
        >>> from vae_cli.model import NegativeELBO
        >>> small = {"limit": 256, "epochs": 1}
        >>> model = fit("fashion-mnist", objective=NegativeELBO(beta=4.0), settings=small)
        >>> model.settings.objective.beta
        4.0
    """
    from vae_cli.api import training

    own = training.take_parts(model, objective, prior, likelihood)
    layers = training.with_data(settings or {}, str(data))
    return training.train(layers, name=name, own=own)


def resume(
    run: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    allow_code: bool = False,
    model: "Network | None" = None,
    objective: "Objective | type[Objective] | None" = None,
    prior: "Prior | type[Prior] | None" = None,
    likelihood: "Likelihood | type[Likelihood] | None" = None,
) -> "TrainedModel":
    """Go on with a run that was stopped, or with one that gets more epochs, and return its model.

    Args:
        run: its name or folder; None means the one that stopped last.
        settings: the few that may change, such as `{"epochs": 20}`.
        allow_code: as in `load`, and so are the parts.
        model: the network.
        objective: what is minimized.
        prior: p(z).
        likelihood: p(x|z).

    Raises:
        UsageError: there is no such run, or a setting that may not change is given.
        OutsideCodeError: the run needs code that is not known.
        VAEError: a checkpoint is missing or damaged, or the training failed.
    """
    from vae_cli.api import training

    own = training.take_parts(model, objective, prior, likelihood)
    found = None if run is None else str(run)
    return training.resume(found, settings or {}, own, allow_code=allow_code)
