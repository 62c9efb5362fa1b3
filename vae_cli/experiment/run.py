"""Train one run, and leave everything in its directory."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch

from vae_cli.build import build_objective, build_schedule, build_warmup
from vae_cli.data.batches import steps_per_epoch
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.errors import InterruptedRunError, NonFiniteLossError, VAEError, is_memory_full
from vae_cli.experiment.preview import write_previews
from vae_cli.experiment.resolve import Resolved
from vae_cli.files import remove_leftovers
from vae_cli.runs.directory import Run
from vae_cli.runs.facts import Row
from vae_cli.runs.loading import SavedState, require_unchanged
from vae_cli.runs.lock import locked
from vae_cli.runs.recorder import RunRecorder
from vae_cli.training import EpochReport, TrainState, fit
from vae_cli.training.loop import never
from vae_cli.training.precision import apply_precision


class FinishedRun(NamedTuple):
    """A run after its last epoch.

    Attributes:
        run: its directory.
        rows: the rows of `metrics.csv`, including those from before a resume.
    """

    run: Run
    rows: list[Row]


def ignore_report(report: EpochReport) -> None:
    """A report callback that does nothing."""


def never_stopped() -> int | None:
    """No signal."""
    return None


def train_run(
    run: Run,
    resolved: Resolved,
    *,
    saved: SavedState | None = None,
    report: Callable[[EpochReport], None] = ignore_report,
    progress: Progress = ignore_progress,
    stopped: Callable[[], int | None] = never_stopped,
) -> FinishedRun:
    """Train a run to its last epoch.

    Args:
        run: its directory.
        resolved: the data and the settings.
        saved: the last state of this run, to resume it.
        report: called with the metrics of each epoch.
        progress: called with the number of items trained on since the start, and the number for the
            whole run; first when everything is checked and the training begins.
        stopped: returns the number of the signal that asked the training to stop, if there was one.

    Returns:
        The run, which may have been renamed in the meantime, and its metrics.

    Raises:
        InterruptedRunError: there was a signal; the state was saved first.
        UsageError: another process is training the run, or its data have changed.
        NonFiniteLossError: the loss is not finite; the last finite checkpoints remain.
        VAEError: memory is full, a file cannot be written, or the checkpoint does not fit.
    """
    with ExitStack() as locks:
        locks.enter_context(locked(run))
        if saved:
            require_unchanged(run, saved)
        remove_leftovers(run.path)
        return _train_locked(run, resolved, saved, report, progress, stopped, locks)


def _train_locked(
    run: Run,
    resolved: Resolved,
    saved: SavedState | None,
    report: Callable[[EpochReport], None],
    progress: Progress,
    stopped: Callable[[], int | None],
    locks: ExitStack,
) -> FinishedRun:
    state = resolved.initial_state()
    apply_precision(resolved.precision, state)
    recorder = make_recorder(run, resolved, state, locks)
    if signal := stopped():
        if saved is None:
            run.discard()
        raise InterruptedRunError("stopped before the first step: nothing was learned yet", signal)
    if saved:
        recorder.restore(saved)
        run.reopen()
        run.write_config(resolved.config)
    items, epochs = len(resolved.train), resolved.config.training.epochs
    progress(state.epoch * items + state.totals.count, epochs * items)

    def save_or_stop(done: int, total: int) -> None:
        progress(done, total)
        recorder.save_or_stop(stopped())

    def record_and_report(epoch: EpochReport) -> None:
        recorder.record_epoch(epoch)
        report(epoch)

    with explained_failures(recorder, resolved.device):
        fit_resolved(state, resolved, record_and_report, save_or_stop, recorder.is_patience_over)
    recorder.save()
    write_previews(recorder, resolved)
    if signal := stopped():
        raise InterruptedRunError(f"stopped, but run {recorder.run.name} is finished", signal)
    return FinishedRun(recorder.run, recorder.rows)


def make_recorder(run: Run, resolved: Resolved, state: TrainState, locks: ExitStack) -> RunRecorder:
    """The recorder of a run before its first epoch."""
    return RunRecorder(
        run,
        resolved.config,
        resolved.spec,
        resolved.held_out_name,
        (len(resolved.train), len(resolved.test)),
        resolved.data_digest,
        state,
        resolved.save_interval,
        locks,
    )


def fit_resolved(
    state: TrainState,
    resolved: Resolved,
    report: Callable[[EpochReport], None],
    progress: Progress,
    stop_early: Callable[[], bool] = never,
) -> None:
    """Call `fit` with the numbers of the settings."""
    config, training = resolved.config, resolved.config.training
    steps = steps_per_epoch(len(resolved.train), training.batch_size)
    fit(
        state,
        build_objective(config.objective),
        resolved.train,
        resolved.test,
        epochs=training.epochs,
        batch_size=training.batch_size,
        seed=training.seed,
        learning_rate=build_schedule(config.optimizer, steps * training.epochs),
        warmup=build_warmup(config.objective, steps),
        stop_early=stop_early,
        report=report,
        progress=progress,
    )


@contextmanager
def explained_failures(recorder: RunRecorder, device: torch.device) -> Iterator[None]:
    """Save the best weights if training fails, and say what to do if memory is full."""
    try:
        yield
    except NonFiniteLossError:
        recorder.save_best()  # the current state is of no use any more
        raise
    except (MemoryError, RuntimeError) as error:  # torch's OutOfMemoryError is a RuntimeError
        if not (isinstance(error, torch.OutOfMemoryError) or is_memory_full(error)):
            raise
        raise VAEError(explain_full_memory(recorder.config.training.batch_size, device)) from error


def explain_full_memory(batch_size: int, device: torch.device) -> str:
    """What to try if memory is full."""
    if batch_size == 1:
        return f"out of memory on {device.type} with one image a step: try a smaller --hidden"
    return (
        f"out of memory on {device.type} at --batch-size {batch_size}: "
        f"try --batch-size {batch_size // 2}"
    )
