"""What of a training is written down, and when.

`last.safetensors` is the state between two steps, `best.safetensors` the state after the epoch with
the lowest test loss, each whole: weights, moments, random numbers, position and the rows so far.
From `last` a run goes on bit for bit as if it had never stopped, whenever and however it was.
"""

import csv
import dataclasses
import io
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vae_cli import checkpoint, config
from vae_cli.checkpoint import Checkpoint
from vae_cli.config import Config
from vae_cli.data import Spec
from vae_cli.errors import InterruptedRunError, UsageError, VAEError
from vae_cli.files import write_whole
from vae_cli.restore import read_spec
from vae_cli.runs import Run
from vae_cli.training import EpochReport, TrainState

Row = dict[str, Any]


@dataclass(frozen=True)
class Interval:
    """How long a save may wait: so many epochs, or so many seconds."""

    epochs: float = math.inf
    seconds: float = math.inf

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """`5` is five epochs, `30s` thirty seconds, `10m` ten minutes.

        Raises:
            UsageError: it is none of these.
        """
        found = re.fullmatch(r"0*([1-9]\d{0,6})([sm]?)", text, re.ASCII)
        if not found:
            raise UsageError(
                f"--save-every {text}: write epochs (5), seconds (30s) or minutes (10m)"
            )
        number, unit = int(found[1]), found[2]
        if not unit:
            return cls(epochs=number)
        return cls(seconds=number * (60 if unit == "m" else 1))


@dataclass
class Keeper:
    """Writes a run's checkpoints and its table of metrics while it goes on."""

    run: Run
    settings: Config
    spec: Spec
    counts: tuple[int, int]
    state: TrainState
    every: Interval
    rows: list[Row] = field(default_factory=list)
    best_loss: float = math.inf
    best: Checkpoint | None = None  # found, but not yet written
    saved_at: float = field(default_factory=time.monotonic)
    saved_epoch: int = 0

    def take_up(self, kept: Checkpoint) -> None:
        """Go on from a checkpoint of this run.

        Raises:
            UsageError: the data have changed since.
            VAEError: it does not fit the settings.
        """
        before, now = kept.facts.get("counts"), list(self.counts)
        if before != now or read_spec(kept) != self.spec:
            raise UsageError(
                f"run {self.run.name} cannot go on: its data have changed, "
                f"from {before} training and test items of {read_spec(kept).shape} "
                f"to {now} of {self.spec.shape}"
            )
        try:
            self.state.load(kept.group("state"), kept.facts["position"])
            self.rows, self.best_loss = list(kept.facts["rows"]), float(kept.facts["best_loss"])
            self.saved_epoch = self.state.epoch
        except (KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
            raise VAEError(f"{self.run.last} does not fit its config: {error}") from error

    def after_epoch(self, done: EpochReport) -> None:
        """Add a row, remember the best, and save if it is time."""
        self.rows.append(row(done, self.spec.is_image))
        if done.test.loss < self.best_loss:
            self.best_loss = done.test.loss
            self.best = self._checkpoint({"kl_by_dim": done.test.kl_by_dim})
        if self.state.epoch - self.saved_epoch >= self.every.epochs:
            self.save()

    def between_steps(self, signal: int | None) -> None:
        """Save if it is time, or if a signal asked to stop.

        Raises:
            InterruptedRunError: it did.
        """
        if signal is not None:
            self.save()
            raise InterruptedRunError(
                f"stopped in epoch {self.state.epoch + 1}; "
                f"go on with: vae train --resume {self.run.name}",
                signal,
            )
        if time.monotonic() - self.saved_at >= self.every.seconds:
            self.save()

    def save(self) -> None:
        """Write the best checkpoint if there is a new one, the last, and the table.

        Raises:
            VAEError: a file cannot be written; what was there stays.
        """
        self.save_best()
        checkpoint.save(self.run.last, self._checkpoint({}))
        if self.rows:
            write_whole(self.run.metrics_file, table(self.rows).encode())
        self.saved_at, self.saved_epoch = time.monotonic(), self.state.epoch

    def save_best(self) -> None:
        """Write the best checkpoint if there is a new one."""
        if self.best:
            checkpoint.save(self.run.best, self.best)
            self.best = None

    def _checkpoint(self, more: Mapping[str, Tensor]) -> Checkpoint:
        """A copy of the state as it is now, in memory of its own."""
        state = self.state.tensors()
        tensors = {f"state.{name}": tensor.detach().cpu().clone() for name, tensor in state.items()}
        return Checkpoint(
            tensors | dict(more),
            {
                "config": config.to_dict(self.settings),
                "data": dataclasses.asdict(self.spec),
                "counts": self.counts,
                "epoch": self.state.epoch,
                "position": self.state.position(),
                "rows": self.rows.copy(),
                "best_loss": self.best_loss,
            },
        )


def row(done: EpochReport, is_image: bool) -> Row:
    """One line of `metrics.csv`: losses in nats, averaged over items."""
    distortion = "mse" if is_image else "nll"
    return {
        "epoch": done.epoch,
        "train_kl": round(done.train.kl, 4),
        f"train_{distortion}": round(done.train.distortion, 4),
        "train_loss": round(done.train.loss, 4),
        "test_kl": round(done.test.kl, 4),
        f"test_{distortion}": round(done.test.distortion, 4),
        "test_loss": round(done.test.loss, 4),
        "active_dims": done.test.active,
        "seconds": round(done.seconds, 3),
    }


def table(rows: list[Row]) -> str:
    """The rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
