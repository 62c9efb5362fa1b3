"""Saving a run while it is trained.

`last.safetensors` is the state between two steps. `best.safetensors` is the state after the epoch
with the lowest test loss. Each is complete: weights, moments, random numbers, position, and the
metrics so far. A run that is resumed from `last` continues bit for bit as if it had never stopped.
"""

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vae_cli.config import Config, SaveInterval, to_dict
from vae_cli.data.dataset import Spec
from vae_cli.errors import InterruptedRunError, UsageError, VAEError
from vae_cli.files import write_csv
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.loading import read_spec
from vae_cli.training import EpochReport, TrainState

Row = dict[str, Any]


@dataclass
class RunRecorder:
    """Writes the checkpoints and the metrics of a run.

    Attributes:
        run: where they are written.
        config: the settings of the run.
        spec: what its items are.
        distortion_name: the name of the distortion in the metrics.
        counts: the numbers of training and test items.
        state: what is saved.
        interval: the time between two saves.
        rows: the metrics of each epoch.
        best_loss: the lowest test loss so far.
        best: the state with that loss, if it was reached in this process.
        best_is_written: whether `best.safetensors` is that state.
        saved_at: the time of the last save, in seconds of a monotonic clock.
        saved_epoch: the number of complete epochs at that time.
    """

    run: Run
    config: Config
    spec: Spec
    distortion_name: str
    counts: tuple[int, int]
    state: TrainState
    interval: SaveInterval
    rows: list[Row] = field(default_factory=list)
    best_loss: float = math.inf
    best: Checkpoint | None = None
    best_is_written: bool = True
    saved_at: float = field(default_factory=time.monotonic)
    saved_epoch: int = 0

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint of this run.

        Raises:
            UsageError: the data have changed since.
            VAEError: it does not fit the settings.
        """
        before, now = checkpoint.facts.get("counts"), list(self.counts)
        spec = read_spec(checkpoint)
        if before != now or spec != self.spec:
            raise UsageError(
                f"run {self.run.name} cannot go on: its data have changed, from {before} training "
                f"and test items of {spec.shape} to {now} of {self.spec.shape}"
            )
        facts = checkpoint.facts
        try:
            self.state.restore(checkpoint.group("state"), facts["position"])
            self.rows, self.best_loss = list(facts["rows"]), float(facts["best_loss"])
            self.saved_epoch = self.state.epoch
        except (KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
            raise VAEError(f"{self.run.last} does not fit its config: {error}") from error

    def record_epoch(self, report: EpochReport) -> None:
        """Add the metrics of an epoch, copy the state if it is the best, and save if it is time."""
        self.rows.append(make_row(report, self.distortion_name))
        if report.test.loss < self.best_loss:
            self.best_loss = report.test.loss
            self.best = self._copy_state({"kl_by_dim": report.test.kl_by_dim})
            self.best_is_written = False
        if self.state.epoch - self.saved_epoch >= self.interval.epochs:
            self.save()

    def save_or_stop(self, signal: int | None) -> None:
        """Save if it is time, or if a signal asked the training to stop.

        Raises:
            InterruptedRunError: there was a signal; the state is saved.
        """
        if signal is not None:
            self.save()
            raise InterruptedRunError(
                f"stopped in epoch {self.state.epoch + 1}; "
                f"go on with: vae train --resume {self.run.name}",
                signal,
            )
        if time.monotonic() - self.saved_at >= self.interval.seconds:
            self.save()

    def save(self) -> None:
        """Write the best checkpoint if it is new, the last one, and the metrics.

        Raises:
            VAEError: a file cannot be written; the file that was there before is unchanged.
        """
        self.save_best()
        save_checkpoint(self.run.last, self._copy_state({}))
        if self.rows:
            values = (row.values() for row in self.rows)
            write_csv(self.run.metrics_file, list(self.rows[0]), map(list, values))
        self.saved_at, self.saved_epoch = time.monotonic(), self.state.epoch

    def save_best(self) -> None:
        """Write the best checkpoint if it is new."""
        if self.best and not self.best_is_written:
            save_checkpoint(self.run.best, self.best)
            self.best_is_written = True

    def best_weights(self) -> dict[str, Tensor]:
        """The weights with the lowest test loss; read from disk if an earlier process found them.

        Raises:
            VAEError: the file is damaged.
        """
        best = self.best or load_checkpoint(self.run.best)
        return best.group("state.model")

    def _copy_state(self, more: Mapping[str, Tensor]) -> Checkpoint:
        """A copy of the state, in memory of its own."""
        state = self.state.tensors()
        tensors = {f"state.{name}": tensor.detach().cpu().clone() for name, tensor in state.items()}
        return Checkpoint(
            tensors | dict(more),
            {
                "config": to_dict(self.config),
                "data": dataclasses.asdict(self.spec),
                "counts": self.counts,
                "epoch": self.state.epoch,
                "position": self.state.position(),
                "rows": self.rows.copy(),
                "best_loss": self.best_loss,
            },
        )


def make_row(report: EpochReport, distortion_name: str) -> Row:
    """One row of `metrics.csv`: losses in nats, averaged over items."""
    distortion = distortion_name.lower()
    return {
        "epoch": report.epoch,
        "train_kl": round(report.train.kl, 4),
        f"train_{distortion}": round(report.train.distortion, 4),
        "train_loss": round(report.train.loss, 4),
        "test_kl": round(report.test.kl, 4),
        f"test_{distortion}": round(report.test.distortion, 4),
        "test_loss": round(report.test.loss, 4),
        "active_dims": report.test.active,
        "seconds": round(report.seconds, 3),
    }
