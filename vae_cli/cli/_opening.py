"""What every command that uses a run does first."""

import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vae_cli.cli._console import Terminal
from vae_cli.cli._dims import active_dims
from vae_cli.cli._output import Request
from vae_cli.cli._training import COLLAPSE_PAGE, describe_active
from vae_cli.data.catalogue import find_source
from vae_cli.runs.outputs import data_of

if TYPE_CHECKING:
    from vae_cli.api.model import TrainedModel


def add_start(
    layers: list[tuple[str, Mapping[str, Any]]], name: str
) -> list[tuple[str, Mapping[str, Any]]]:
    """The layers of settings with those of the run that the training starts from.

    Raises:
        UsageError: there is no such run, or it is a stranger's and the path of its data was not
            typed.
        VAEError: its weights are missing or damaged.
    """
    from vae_cli.runs.directory import find_run

    find_run(name)  # before torch is imported, so that a typo is answered at once
    from vae_cli.runs.start import start_layers

    return start_layers(name, layers)


def open_run(
    selector: str | None,
    device_name: str,
    terminal: Terminal,
    data: str | None = None,
    *,
    outputs: Iterable[Request] = (),
) -> "TrainedModel":
    """Load the model of a run on a device, and say which run and device were chosen.

    Args:
        selector: the name or path of the run; None means the newest finished run.
        device_name: of the device, or `auto`.
        terminal: prints the remark.
        data: the name or path of the data to take test items from; None means those of the run.
        outputs: what the command will write; they are checked before the model is loaded.

    Raises:
        UsageError: there is no such run or device, there are no such data, or an output would
            replace the data of the run or a file of a run.
        VAEError: the weights of the run are missing or damaged.
    """
    if data is not None:
        find_source(data, "--data")
    from vae_cli.runs.directory import find_run, finished_runs

    run = find_run(selector)  # before torch is imported, so that a typo is answered at once
    for output in outputs:
        output.check(data_of(run))
    with terminal.spinner("loading"):
        from vae_cli.api.model import load_trained
        from vae_cli.device import describe_device, resolve_device

        device = resolve_device(device_name)
        model = load_trained(run, device, data)
    choice = f"newest of {len(finished_runs())}; " if selector is None else ""
    terminal.remark(f"run {run.path}: {choice}{describe_run(model)}; {describe_device(device)}")
    for trouble in find_troubles(model):
        terminal.remark(trouble, "yellow")
    return model


def find_troubles(model: "TrainedModel") -> list[str]:
    """What makes the weights of a run a bad choice, one sentence each."""
    troubles = []
    if model.diverged:
        troubles.append(
            f"the training of {model.name} ended in epoch {model.diverged}, because its loss was "
            f"not finite; these are the weights of epoch {model.epoch}"
        )
    if not active_dims(model.kl_by_dim):
        levels = len(model.model.latent_dims)
        effect = "only the levels below tell" if levels > 1 else "hardly anything tells"
        troubles.append(
            f"{describe_active(0, model.model.latent_dim, levels > 1)}: {effect} items apart; "
            f"see {COLLAPSE_PAGE}"
        )
    return troubles


def describe_run(model: "TrainedModel") -> str:
    """What a model was trained on, and for how long."""
    epochs = model.settings.training.epochs
    length = "1 epoch" if epochs == 1 else f"epoch {model.epoch} of {epochs}"
    return f"{model.trained_on.counts[0]:,} items of {model.spec.name}, {length}"


def choose_seed(seed: int | None, terminal: Terminal) -> int:
    """The seed that was given, or a random one, which is printed."""
    if seed is None:
        seed = secrets.randbelow(2**32)
        terminal.remark(f"seed {seed}")
    return seed
