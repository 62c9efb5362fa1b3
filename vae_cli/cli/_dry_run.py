"""What `vae train --dry-run` prints: the data, the network, and the time that it will take."""

from typing import TYPE_CHECKING, Any

from vae_cli.cli._console import Terminal
from vae_cli.settings import Config, to_dict

if TYPE_CHECKING:
    from vae_cli.runs.estimate import Estimate
    from vae_cli.runs.resolve import Resolved


def show_estimate(settings: Config, terminal: Terminal, *, json: bool) -> None:
    """Read the data, train for a few steps, and print what the whole training would need.

    Raises:
        UsageError: the data cannot be used, or the settings do not fit the data or the device.
    """
    from vae_cli.device import resolve_device
    from vae_cli.runs.estimate import estimate_training
    from vae_cli.runs.resolve import resolve

    device = resolve_device(settings.training.device)
    with terminal.bar("reading") as bar:
        resolved = resolve(settings, device, bar)
    with terminal.spinner("measuring"):
        estimate = estimate_training(resolved)
    if json:
        terminal.json(estimate_record(resolved, estimate))
    else:
        terminal.facts(describe_estimate(resolved, estimate))
        terminal.note("this was a dry run: no run was made")


def describe_estimate(resolved: "Resolved", estimate: "Estimate") -> dict[str, str]:
    """What a person wants to know before a training, by topic."""
    from vae_cli.device import describe_device
    from vae_cli.rendering.choice import kind_of

    spec, config = resolved.spec, resolved.config
    epochs, memory = config.training.epochs, estimate.parameter_bytes + estimate.batch_bytes
    length = "1 epoch" if epochs == 1 else f"{epochs:,} epochs"
    counts = f"{len(resolved.train):,} to train on, {len(resolved.test):,} held out"
    return {
        "data": f"{spec.name}, {kind_of(spec).describe()}: {counts}",
        "network": f"{config.model.network}, {estimate.parameters:,} parameters, "
        f"{config.model.latent_dim} latent dimensions",
        "device": f"{describe_device(resolved.device)}, {resolved.precision}",
        "memory": f"about {to_mebibytes(memory)} for a step, "
        f"and {to_mebibytes(estimate.data_bytes)} for the data",
        "steps": f"{estimate.steps:,} in an epoch of about {to_time(estimate.epoch_seconds)}",
        "time": f"about {to_time(epochs * estimate.epoch_seconds)} for {length}, "
        "and the evaluations",
    }


def estimate_record(resolved: "Resolved", estimate: "Estimate") -> dict[str, Any]:
    """The same for JSON; times are in seconds."""
    return {
        "data": resolved.spec.name,
        "shape": list(resolved.spec.shape),
        "train": len(resolved.train),
        "test": len(resolved.test),
        "parameters": estimate.parameters,
        "parameter_bytes": estimate.parameter_bytes,
        "batch_bytes": estimate.batch_bytes,
        "data_bytes": estimate.data_bytes,
        "steps_per_epoch": estimate.steps,
        "seconds_per_step": estimate.step_seconds,
        "seconds_per_epoch": estimate.epoch_seconds,
        "settings": to_dict(resolved.config),
    }


def to_mebibytes(count: int) -> str:
    """A number of bytes for a person."""
    return f"{count / 2**20:,.1f} MiB"


def to_time(seconds: float) -> str:
    """A time for a person: two or three digits in the unit that fits."""
    for unit, length in (("h", 3600), ("min", 60), ("s", 1), ("ms", 0.001)):
        if seconds >= length or unit == "ms":
            break
    count = seconds / length
    return f"{count:,.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"  # noqa: PLR2004
