"""The training: its length, batches, random numbers and device, and how often it is saved."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal, final

from annotated_types import Interval, Predicate

from vae_cli.settings.variant import Setting, section

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
_PATTERN = re.compile(r"0*([1-9]\d{0,6})([sm]?)", re.ASCII)


@final
@dataclass(frozen=True)
class SaveInterval:
    """The time between two saves: a number of epochs, or a number of seconds."""

    epochs: float = math.inf
    seconds: float = math.inf


def is_save_interval(text: str) -> bool:
    """Whether `parse_save_interval` accepts a text."""
    return _PATTERN.fullmatch(text) is not None


def parse_save_interval(text: str) -> SaveInterval:
    """`5` is five epochs, `30s` thirty seconds, `10m` ten minutes."""
    match = _PATTERN.fullmatch(text)
    assert match  # the schema accepts nothing else
    number, unit = int(match[1]), match[2]
    if not unit:
        return SaveInterval(epochs=number)
    return SaveInterval(seconds=number * (60 if unit == "m" else 1))


@final
@section
class TrainingConfig:
    """Length, batches, random numbers and device of the training."""

    epochs: Annotated[
        int,
        Interval(ge=1, le=100_000),
        Setting("Number of passes over the training set.", "epochs"),
    ] = 20
    batch_size: Annotated[
        int, Interval(ge=1, le=1_000_000), Setting("Number of items per step.", "batch-size")
    ] = 128
    accumulate: Annotated[
        int,
        Interval(ge=1, le=1_000_000),
        Setting(
            "Parts in which the gradient of a batch is computed, one after another, to save memory."
        ),
    ] = 1
    processes: Annotated[
        int,
        Interval(ge=1, le=65_536),
        Setting("Processes that share each batch; on GPUs, each has one.", "processes"),
    ] = 1
    start: Annotated[
        str,
        Setting(
            "Run whose weights the training starts from; its data and its model are the defaults.",
            "start-from",
            metavar="RUN",
        ),
    ] = ""
    seed: Annotated[
        int,
        Interval(ge=0, le=2**63 - 1),
        Setting("Seed of every random number; a CPU run repeats bit for bit.", "seed"),
    ] = 0
    device: Annotated[
        DeviceName,
        Setting("Device to compute on; auto takes the fastest that is available.", "device"),
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "tf32", "bfloat16"],
        Setting(
            "Number format of the matrix products; auto takes the fastest safe one.", "precision"
        ),
    ] = "auto"
    patience: Annotated[
        int,
        Interval(ge=0, le=100_000),
        Setting("Stop after so many epochs without a better one, after the warm-up; 0 never."),
    ] = 0
    best: Annotated[
        Literal["loss", "elbo"],
        Setting(
            "Figure by which the best epoch is chosen; loss is what was asked for, and elbo "
            "compares runs with another objective."
        ),
    ] = "loss"
    save_every: Annotated[
        str,
        Predicate(is_save_interval),
        Setting(
            "Time between two saves", "save-every", "epochs (5), seconds (30s) or minutes (10m)"
        ),
    ] = "1m"

    @property
    def save_interval(self) -> SaveInterval:
        """The time between two saves."""
        return parse_save_interval(self.save_every)
