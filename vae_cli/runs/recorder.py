"""The rows of `metrics.csv`.

Saving a run while it is trained.

`last.safetensors` is the state between two steps: weights, moments, random numbers, position, and
the metrics so far. A run that is resumed from it continues bit for bit as if it had never stopped.
`best.safetensors` has the weights after the epoch with the lowest test loss, and nothing else of
its state, because a model needs no more than a third of it.
"""

import dataclasses
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from torch import Tensor

from vae_cli.data.dataset import Spec
from vae_cli.errors import InterruptedRunError, UsageError, VAEError
from vae_cli.files import open_file, write_bytes, write_csv
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run, free_name, locked, make_directory
from vae_cli.runs.facts import Facts, Position, Row, facts_to_json, parse_facts
from vae_cli.runs.loading import KL, STATE
from vae_cli.runs.origin import sign
from vae_cli.runs.start import SavedState
from vae_cli.settings import Plan, SaveInterval
from vae_cli.training import EpochReport, TrainState


def make_row(report: EpochReport, held_out_name: str) -> Row:
    """One row of `metrics.csv`: the terms of the losses in nats, averaged over items."""
    row: Row = {"epoch": report.epoch}
    for part, metrics in (("train", report.train), (held_out_name, report.test)):
        for name in report.test.terms:
            row[f"{part}_{name}"] = round(metrics.terms[name], 4)
        row[f"{part}_loss"] = round(metrics.loss, 4)
    return row | {
        f"{held_out_name}_elbo": round(report.test.elbo, 4),
        "active_dims": report.test.active,
        "seconds": round(report.seconds, 3),
    }


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the metrics of each epoch; a column that some rows lack is empty there.

    Raises:
        VAEError: the file cannot be written.
    """
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        write_csv(path, columns, ([row.get(name, "") for name in columns] for row in rows))


FIRST_SAVE_SECONDS = 5.0  # the first save is early, so that a long interval loses little


@dataclass
class RunRecorder:
    """Writes the checkpoints and the metrics of a run.

    Attributes:
        run: where they are written.
        config: the settings of the run.
        spec: what its items are.
        held_out_name: what the items that are held out are called in the metrics.
        counts: the numbers of training and test items.
        data_digest: SHA-256 of both sets.
        state: what is saved.
        interval: the time between two saves.
        rows: the metrics of each epoch.
        best_loss: the lowest figure of the held-out items so far, by which the best epoch is
            chosen: their loss, or −ELBO.
        best_epoch: the epoch with that figure; if it was never finite, the last one.
        best: the weights of that epoch, if it was in this process.
        earlier_best: the file with these weights, if an earlier process found them; it is held
            open, and can be read even if it was deleted.
        best_is_written: whether `best.safetensors` has these weights.
        inode: identifies the directory, so that it is found again if it is renamed.
        data_stamp: of the files of the data.
        locks: where the lock of a directory is held that takes the place of a deleted one.
        next_save: when to save next, in seconds of a monotonic clock.
        saved_epoch: the number of complete epochs at the last save; -1 before the first.
    """

    run: Run
    config: Plan
    spec: Spec
    held_out_name: str
    counts: tuple[int, int]
    data_digest: str
    state: TrainState
    interval: SaveInterval
    data_stamp: str = ""
    locks: ExitStack = field(default_factory=ExitStack)
    rows: list[Row] = field(default_factory=list)
    best_loss: float = math.inf
    best_epoch: int = 0
    best: Checkpoint | None = None
    earlier_best: BinaryIO | None = None
    best_is_written: bool = True
    next_save: float = field(init=False)
    inode: int = field(init=False)
    saved_epoch: int = -1

    def __post_init__(self) -> None:
        self.next_save = time.monotonic() + min(self.interval.seconds, FIRST_SAVE_SECONDS)
        self.inode = self.run.inode

    def restore(self, saved: SavedState) -> None:
        """Continue from the last state of this run.

        Raises:
            UsageError: the data have changed since.
            VAEError: it does not fit the settings.
        """
        facts = saved.facts
        known = dataclasses.replace(  # data may have moved, and earlier versions measured less
            facts.data, name=self.spec.name, usual_border=self.spec.usual_border
        )
        if facts.counts != self.counts or known != self.spec:
            raise UsageError(
                f"run {self.run.name} cannot go on: its data have changed, from "
                f"{list(facts.counts)} training and test items of {facts.data.shape} "
                f"to {list(self.counts)} of {self.spec.shape}"
            )
        if facts.data_digest not in {"", self.data_digest}:
            raise UsageError(
                f"run {self.run.name} cannot go on: the contents of its data have changed"
            )
        if facts.held_out_name not in {"", self.held_out_name}:
            raise VAEError(f"{self.run.last} is damaged: rows are of other items held out")
        try:
            self.state.restore(saved.tensors, vars(facts.position))
        except RuntimeError as error:  # only torch knows which bytes are the state of a generator
            raise VAEError(f"{self.run.last} is damaged: {error}") from error
        self.rows = facts.rows
        self.best_loss, self.best_epoch = facts.best_loss, facts.best_epoch
        self.saved_epoch = self.state.epoch

    def hold_best(self) -> None:
        """Hold the best checkpoint of an earlier process open, as long as the locks."""
        if self.run.best.is_file():
            self.earlier_best = self.locks.enter_context(open_file(self.run.best))

    def follow_data(self) -> None:
        """Write the place of data that have moved into the best checkpoint, which commands read.

        Raises:
            VAEError: the file is damaged, or cannot be written.
        """
        if not self.run.best.is_file():
            return
        best = load_checkpoint(self.run.best)
        facts = parse_facts(best.facts, self.run.best)
        data = dataclasses.replace(facts.config.data, name=self.config.data.name)
        moved = dataclasses.replace(
            facts,
            config=dataclasses.replace(facts.config, data=data),
            origin=sign(data.name),
            data_stamp=self.data_stamp,
        )
        facts_of_moved = facts_to_json(moved)
        save_checkpoint(self.run.best, dataclasses.replace(best, facts=facts_of_moved))

    def record_epoch(self, report: EpochReport) -> None:
        """Add the metrics of an epoch, copy the state if it is the best, and save if it is time."""
        self.rows.append(make_row(report, self.held_out_name))
        by_elbo = self.config.training.best == "elbo"
        figure = -report.test.elbo if by_elbo else report.test.loss
        if not math.isfinite(figure):
            figure = math.inf  # worse than every number, and no better than another epoch like it
        if figure < self.best_loss or figure == self.best_loss == math.inf:
            self.best_loss, self.best_epoch = figure, report.epoch
            self.best, self.best_is_written = self._copy_weights(report.test.kl_by_dim), False
        is_first = self.saved_epoch < 0
        if is_first or self.state.epoch - self.saved_epoch >= self.interval.epochs:
            self.try_to_save()

    def is_patience_over(self) -> bool:
        """Whether the last epochs were no better than an earlier one, not counting the warm-up."""
        patience = self.config.training.patience
        start = max(self.best_epoch, self.config.objective.epochs_of_warmup)
        return patience > 0 and self.state.epoch - start >= patience

    def save_or_stop(self, signal: int | None) -> None:
        """Save if it is time, or if a signal asked the training to stop.

        Raises:
            InterruptedRunError: there was a signal; the state is saved.
            VAEError: there was a signal, and the state cannot be saved.
        """
        if signal is not None:
            self.save()
            raise InterruptedRunError(
                f"stopped in epoch {self.state.epoch + 1}; "
                f"go on with: vae train <resume> {self.run.name}",
                signal,
            )
        if time.monotonic() >= self.next_save:
            self.try_to_save()

    def try_to_save(self) -> None:
        """Save; if that fails, warn and continue, because the next save may succeed."""
        try:
            self.save()
        except VAEError as error:
            warnings.warn(f"not saved, will try again: {error}", stacklevel=2)
            self.next_save = time.monotonic() + min(self.interval.seconds, FIRST_SAVE_SECONDS)

    def save(self) -> None:
        """Write the best checkpoint if it is new, the last one, and the metrics.

        Raises:
            VAEError: a file cannot be written; the file that was there before is unchanged.
        """
        self.find_place()
        self.save_best()
        save_checkpoint(self.run.last, self._copy_state())
        write_rows(self.run.metrics_file, self.rows)
        self.next_save = time.monotonic() + self.interval.seconds
        self.saved_epoch = self.state.epoch

    def find_place(self) -> None:
        """Find the directory if it was renamed during the training, or make another if it is gone.

        The name of a directory that was deleted may be another run's by now. The inode tells: it
        is not given to another directory as long as this process has the lock of the old one.

        Raises:
            VAEError: another directory cannot be made.
        """
        if self.run.inode == self.inode:
            return
        renamed, root = self.run.find_renamed(self.inode), self.run.path.parent
        run = renamed or Run(root / free_name(self.run.name, root))
        if renamed is None:
            make_directory(run, self.config)
            self.locks.enter_context(locked(run))
            self.inode, self.best_is_written = run.inode, self.best is None
        self.run = run
        change = "renamed" if renamed else "deleted"
        warnings.warn(f"the run's folder was {change}; it is now {run.path}", stacklevel=2)

    def save_best(self) -> None:
        """Write the best checkpoint if it is new, or if it is gone."""
        if self.best and not self.best_is_written:
            self.find_place()
            save_checkpoint(self.run.best, self.best)
            self.best_is_written = True
        elif self.earlier_best and not self.run.best.is_file():
            self.earlier_best.seek(0)
            write_bytes(self.run.best, self.earlier_best.read())

    def save_diverged(self) -> None:
        """Write the best checkpoint, with the fact that the training ended in this epoch.

        The current state is of no use any more.

        Raises:
            VAEError: a file cannot be read or written.
        """
        if not self.best_epoch:
            return
        self.find_place()
        best = self.best or load_checkpoint(self.run.best)
        facts = best.facts | {"diverged": self.state.epoch + 1}
        save_checkpoint(self.run.best, dataclasses.replace(best, facts=facts))
        write_rows(self.run.metrics_file, self.rows)

    def best_weights(self) -> dict[str, Tensor]:
        """The weights with the lowest test loss; read from disk if an earlier process found them.

        Raises:
            VAEError: the file is damaged.
        """
        best = self.best or load_checkpoint(self.run.best)
        return best.group("state.model")

    def _facts(self) -> Facts:
        return Facts(
            config=self.config,
            counts=self.counts,
            epoch=self.state.epoch,
            position=Position(**self.state.position()),
            rows=self.rows.copy(),
            best_loss=self.best_loss,
            best_epoch=self.best_epoch,
            data=self.spec,
            data_digest=self.data_digest,
            data_stamp=self.data_stamp,
            origin=sign(self.config.data.name),
        )

    def _copy_weights(self, kl_by_dim: Tensor) -> Checkpoint:
        """The weights to evaluate, in memory of their own."""
        weights = {f"model.{name}": t for name, t in self.state.evaluation_weights().items()}
        return Checkpoint(copy_state(weights) | {KL: kl_by_dim}, facts_to_json(self._facts()))

    def _copy_state(self) -> Checkpoint:
        """The whole state, in memory of its own."""
        return Checkpoint(copy_state(self.state.tensors()), facts_to_json(self._facts()))


def copy_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, with the names that they have in a checkpoint."""
    return {f"{STATE}{name}": tensor.detach().cpu().clone() for name, tensor in tensors.items()}
