"""What every command that uses a trained model does first."""

import secrets
from typing import TYPE_CHECKING

from vae_cli.cli.console import Terminal

if TYPE_CHECKING:
    from vae_cli.trained import Trained


def open_run(selector: str | None, device_name: str, terminal: Terminal) -> "Trained":
    """The model of a run, on a device; says which run and which device it took."""
    from vae_cli import device, runs, trained

    where = device.resolve(device_name)
    run = runs.find(selector)
    learned = trained.load(run, where)
    terminal.remark(f"run {run.path}, epoch {learned.epoch}, {device.describe(where)}")
    return learned


def seeded(seed: int | None, terminal: Terminal) -> int:
    """The seed; one that was not given is drawn and said."""
    if seed is None:
        seed = secrets.randbelow(2**32)
        terminal.remark(f"seed {seed}")
    return seed
