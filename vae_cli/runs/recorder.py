"""Saving a run while it is trained: what, when and where.

`last.safetensors` is the state between two steps: weights, moments, random numbers, position, and
the metrics so far. A run that is resumed from it continues bit for bit as if it had never stopped.
`best.safetensors` has the weights after the epoch with the lowest test loss, and nothing else of
its state, because a model needs no more than a third of it. `metrics.csv` has a row for each epoch.

    History        what: the metrics of each epoch, and which of them is the best
    BestWeights    what: the weights of the best epoch, from this process or from an earlier one
    SaveTimer      when: after the first epoch, then at each interval
    Place          where: the folder of the run, also after it was renamed or deleted
    RunRecorder    puts these together, as a training calls them
"""

import dataclasses
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, final

from torch import Tensor

from vae_cli.errors import ImportantWarning, InterruptedRunError, UsageError, VAEError
from vae_cli.files import open_file, write_bytes, write_csv
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run, free_name, locked, make_directory
from vae_cli.runs.facts import Facts, Progress, Row, facts_to_json, parse_facts
from vae_cli.runs.loading import KL, STATE
from vae_cli.runs.start import SavedState
from vae_cli.settings import Plan, SaveInterval
from vae_cli.training import EpochReport, TrainState

FIRST_SAVE_SECONDS = 5.0  # the first save is early, so that a long interval loses little


def make_row(report: EpochReport, held_out_name: str) -> Row:
    """One row of `metrics.csv`: the terms of the losses in nats, averaged over items."""
    row: Row = {"epoch": report.epoch}
    for part, metrics in (("train", report.train), (held_out_name, report.test)):
        for name in report.test.terms:
            row[f"{part}_{name}"] = round(metrics.terms[name], 4)
        row[f"{part}_loss"] = round(metrics.loss, 4)
    row[f"{held_out_name}_elbo"] = round(report.test.elbo, 4)
    if report.test.active is not None:
        row["active_dims"] = report.test.active
    if (codes := report.test.codes) is not None:
        row |= {"codes_used": codes.used, "perplexity": round(codes.perplexity, 3)}
    return row | {"seconds": round(report.seconds, 3)}


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the metrics of each epoch; a column that some rows lack is empty there.

    Raises:
        VAEError: the file cannot be written.
    """
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        write_csv(path, columns, ([row.get(name, "") for name in columns] for row in rows))


@final
class History:
    """The metrics of each epoch, and which epoch is the best.

    Args:
        config: says by which figure an epoch is the best, and how long to wait for a better one.
        held_out_name: what the items that are held out are called in the metrics.

    Attributes:
        rows: the metrics of each epoch.
        best_loss: the lowest figure of the held-out items so far: their loss, or −ELBO.
        best_epoch: the epoch with that figure; if it was never finite, the last one.
    """

    def __init__(self, config: Plan, held_out_name: str) -> None:
        self.config, self.held_out_name = config, held_out_name
        self.rows: list[Row] = []
        self.best_loss, self.best_epoch = math.inf, 0

    def restore(self, progress: Progress) -> None:
        """Go on with the metrics that were saved."""
        self.rows = progress.rows
        self.best_loss, self.best_epoch = progress.best_loss, progress.best_epoch

    def add(self, report: EpochReport) -> bool:
        """Add the metrics of an epoch; returns whether it is the best so far."""
        self.rows.append(make_row(report, self.held_out_name))
        figure = -report.test.elbo if self.config.training.best == "elbo" else report.test.loss
        if not math.isfinite(figure):
            figure = math.inf  # worse than every number, and no better than another epoch like it
        is_best = figure < self.best_loss or figure == self.best_loss == math.inf
        if is_best:
            self.best_loss, self.best_epoch = figure, report.epoch
        return is_best

    def is_patience_over(self, epoch: int) -> bool:
        """Whether the last epochs were no better than an earlier one, not counting the warm-up.

        Without a best epoch, which is so if its weights were lost, one has to come first.
        """
        patience = self.config.training.patience
        start = max(self.best_epoch, self.config.objective.epochs_of_warmup)
        return self.best_epoch > 0 and patience > 0 and epoch - start >= patience


@final
class SaveTimer:
    """When to save: after the first epoch or the first seconds, and then at each interval.

    Args:
        interval: in seconds, or in epochs.

    Attributes:
        next_save: when to save next, in seconds of a monotonic clock.
        saved_epoch: the number of complete epochs at the last save; -1 before the first.
    """

    def __init__(self, interval: SaveInterval) -> None:
        self.interval, self.saved_epoch = interval, -1
        self.retry_soon()

    def is_due(self) -> bool:
        """Whether it is time to save, wherever in an epoch the training is."""
        return time.monotonic() >= self.next_save

    def is_due_after(self, epoch: int) -> bool:
        """Whether to save at the end of this epoch."""
        return self.saved_epoch < 0 or epoch - self.saved_epoch >= self.interval.epochs

    def start_again(self, epoch: int) -> None:
        """Wait for a whole interval, because the state of this many complete epochs is saved."""
        self.next_save, self.saved_epoch = time.monotonic() + self.interval.seconds, epoch

    def retry_soon(self) -> None:
        """Wait for a short time."""
        self.next_save = time.monotonic() + min(self.interval.seconds, FIRST_SAVE_SECONDS)


@final
class Place:
    """Where a run is saved, also after its folder was renamed or deleted.

    A user who renames a folder in the middle of a training loses nothing: without this, the next
    save would fail, or make a second folder with the old name. The inode tells a folder that was
    renamed from another one with its name. It is not given to another folder as long as this
    process has the lock of the old one, which keeps it open.

    Args:
        run: the folder, whose lock this process holds.
        locks: where the lock of a folder is held that takes the place of a deleted one.
    """

    def __init__(self, run: Run, locks: ExitStack) -> None:
        self.run, self.locks, self.inode = run, locks, run.inode

    def find(self, config: Plan) -> bool:
        """Find the folder again if it was renamed, or make another if it is gone.

        Args:
            config: written into a new folder.

        Returns:
            Whether the folder is a new one, without any file of the run.

        Raises:
            VAEError: another folder cannot be made.
        """
        if self.run.inode == self.inode:
            return False
        renamed, root = self.run.find_renamed(self.inode), self.run.path.parent
        run = renamed or Run(root / free_name(self.run.name, root))
        if renamed is None:
            make_directory(run, config)
            self.locks.enter_context(locked(run))
            self.inode = run.inode
        self.run = run
        change = "renamed" if renamed else "deleted"
        text = f"the run's folder was {change}; it is now {run.path}"
        warnings.warn(ImportantWarning(text), stacklevel=2)
        return renamed is None


@final
class BestWeights:
    """The weights of the best epoch, which this process or an earlier one found.

    Attributes:
        found: these weights, if this process found them.
        earlier: the file with these weights, if an earlier process found them; it is held open, and
            can be read even if it was deleted.
        is_written: whether what was found is in the folder of the run.
    """

    def __init__(self) -> None:
        self.found: Checkpoint | None = None
        self.earlier: BinaryIO | None = None
        self.is_written = False

    def hold(self, run: Run, locks: ExitStack) -> None:
        """Hold the file of an earlier process open, as long as the locks."""
        if run.best.is_file():
            self.earlier = locks.enter_context(open_file(run.best))

    def replace(self, found: Checkpoint) -> None:
        """Take better weights, which are not written yet."""
        self.found, self.is_written = found, False

    def write(self, run: Run) -> None:
        """Write the weights if they are new, or if their file is gone.

        Raises:
            VAEError: the file cannot be written.
        """
        if self.found and not self.is_written:
            save_checkpoint(run.best, self.found)
            self.is_written = True
        elif self.earlier and not run.best.is_file():
            self.earlier.seek(0)
            write_bytes(run.best, self.earlier.read())

    def read(self, run: Run) -> Checkpoint:
        """The weights; from the folder of the run if an earlier process found them.

        Raises:
            VAEError: the file is damaged.
        """
        return self.found or load_checkpoint(run.best)


@final
class RunRecorder:
    """Writes the checkpoints and the metrics of a run.

    Args:
        run: the folder, whose lock this process holds.
        facts: what does not change in the training: the settings, and what the data are.
        held_out_name: what the items that are held out are called in the metrics.
        state: what is saved.
        interval: the time between two saves.
        locks: held until the training ends.
    """

    def __init__(
        self,
        *,
        run: Run,
        facts: Facts,
        held_out_name: str,
        state: TrainState,
        interval: SaveInterval,
        locks: ExitStack,
    ) -> None:
        self.facts, self.state = facts, state
        self.history = History(facts.config, held_out_name)
        self.timer = SaveTimer(interval)
        self.place = Place(run, locks)
        self.best = BestWeights()

    @property
    def run(self) -> Run:
        """Where the run is now."""
        return self.place.run

    def restore(self, saved: SavedState) -> None:
        """Continue from the last state of this run.

        Raises:
            UsageError: the data have changed since.
            VAEError: it does not fit the settings.
        """
        require_same_data(self.run, saved.facts, self.facts)
        progress = saved.progress
        if progress.held_out_name not in {"", self.history.held_out_name}:
            raise VAEError(f"{self.run.last} is damaged: rows are of other items held out")
        position = {name: getattr(progress, name) for name in ("step", "done", "count")}
        try:
            self.state.restore(saved.tensors, {"epoch": saved.facts.epoch, **position})
        except RuntimeError as error:  # only torch knows which bytes are the state of a generator
            raise VAEError(f"{self.run.last} is damaged: {error}") from error
        self.history.restore(progress)
        self.timer.saved_epoch = self.state.epoch

    def hold_best(self) -> None:
        """Keep the best weights of an earlier process, even if their file is deleted."""
        self.best.hold(self.run, self.place.locks)

    def follow_data(self) -> None:
        """Write the place of data that have moved into the best checkpoint, which commands read.

        Raises:
            VAEError: the file is damaged, or cannot be written.
        """
        if not self.run.best.is_file():
            return
        best = load_checkpoint(self.run.best)
        facts = parse_facts(best.facts, self.run.best)
        data = dataclasses.replace(facts.config.data, name=self.facts.config.data.name)
        moved = dataclasses.replace(
            facts,
            config=dataclasses.replace(facts.config, data=data),
            origin=self.facts.origin,
            data_stamp=self.facts.data_stamp,
            progress=None,
        )
        save_checkpoint(self.run.best, dataclasses.replace(best, facts=facts_to_json(moved)))

    def record_epoch(self, report: EpochReport) -> None:
        """Add the metrics of an epoch, copy the weights if they are the best, and save in time."""
        if self.history.add(report):
            self.best.replace(self._copy_weights(report.test.kl_by_dim))
        if self.timer.is_due_after(self.state.epoch):
            self.try_to_save()

    def is_patience_over(self) -> bool:
        """Whether the last epochs were no better than an earlier one, not counting the warm-up."""
        return self.history.is_patience_over(self.state.epoch)

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
                f"go on with: vae train --resume {self.run.name}",
                signal,
            )
        if self.timer.is_due():
            self.try_to_save()

    def try_to_save(self) -> None:
        """Save; if that fails, warn and continue, because the next save may succeed."""
        try:
            self.save()
        except VAEError as error:
            warnings.warn(ImportantWarning(f"not saved, will try again: {error}"), stacklevel=2)
            self.timer.retry_soon()

    def save(self) -> None:
        """Write the best checkpoint if it is new, the last one, and the metrics.

        Raises:
            VAEError: a file cannot be written; the file that was there before is unchanged.
        """
        self.find_place()
        self.best.write(self.run)
        save_checkpoint(self.run.last, self._copy_state())
        write_rows(self.run.metrics_file, self.history.rows)
        self.timer.start_again(self.state.epoch)

    def find_place(self) -> None:
        """Find the folder of the run if it was renamed or deleted.

        Raises:
            VAEError: another folder cannot be made.
        """
        if self.place.find(self.facts.config):
            self.best.is_written = False

    def save_best(self) -> None:
        """Write the best checkpoint if it is new, or if it is gone.

        Raises:
            VAEError: the file cannot be written.
        """
        if self.best.found or self.best.earlier:
            self.find_place()
            self.best.write(self.run)

    def save_diverged(self) -> None:
        """Write the best checkpoint, with the fact that the training ended in this epoch.

        The current state is of no use any more.

        Raises:
            VAEError: a file cannot be read or written.
        """
        if not self.history.best_epoch:
            return
        self.find_place()
        best = self.best.read(self.run)
        facts = best.facts | {"diverged": self.state.epoch + 1}
        save_checkpoint(self.run.best, dataclasses.replace(best, facts=facts))
        write_rows(self.run.metrics_file, self.history.rows)

    def best_weights(self) -> dict[str, Tensor]:
        """The weights with the lowest test loss, by the model's own names.

        Raises:
            VAEError: their file is damaged.
        """
        return self.best.read(self.run).group("state.model")

    def _copy_weights(self, kl_by_dim: Tensor | None) -> Checkpoint:
        """The weights to evaluate, in memory of their own."""
        weights = {f"model.{name}": t for name, t in self.state.evaluation_weights().items()}
        known = {} if kl_by_dim is None else {KL: kl_by_dim}
        return Checkpoint(copy_state(weights) | known, facts_to_json(self._facts(None)))

    def _copy_state(self) -> Checkpoint:
        """The whole state, in memory of its own."""
        position, history = self.state.position(), self.history
        del position["epoch"]  # it is among the facts
        progress = Progress(
            **position,
            rows=history.rows.copy(),
            best_loss=history.best_loss,
            best_epoch=history.best_epoch,
        )
        return Checkpoint(copy_state(self.state.tensors()), facts_to_json(self._facts(progress)))

    def _facts(self, progress: Progress | None) -> Facts:
        return dataclasses.replace(self.facts, epoch=self.state.epoch, progress=progress)


def require_same_data(run: Run, before: Facts, now: Facts) -> None:
    """Check that the data of a run are those that it was trained on, wherever they are now.

    Raises:
        UsageError: they are not.
    """
    known = dataclasses.replace(  # data may have moved, and earlier versions measured less
        before.data, name=now.data.name, usual_border=now.data.usual_border
    )
    if before.counts != now.counts or known != now.data:
        raise UsageError(
            f"run {run.name} cannot go on: its data have changed, from "
            f"{list(before.counts)} training and test items of {before.data.shape} "
            f"to {list(now.counts)} of {now.data.shape}"
        )
    if before.data_digest not in {"", now.data_digest}:
        raise UsageError(f"run {run.name} cannot go on: the contents of its data have changed")


def copy_state(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, with the names that they have in a checkpoint."""
    return {f"{STATE}{name}": tensor.detach().cpu().clone() for name, tensor in tensors.items()}
