"""Train one run, and leave everything in its directory, also if the training fails.

`train_run` does this. `estimate_training` does not train: it measures what a run will need, with a
few of its real steps.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, final

import torch

from vae_cli.data.batches import steps_per_epoch
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.split import InMemory
from vae_cli.errors import (
    InterruptedRunError,
    LostProcessError,
    NonFiniteLossError,
    VAEError,
    VAEWarning,
    is_memory_full,
    mark,
)
from vae_cli.files import remove_leftovers, require_writable_folder, write_bytes
from vae_cli.runs.directory import Run, locked, require_written_inside
from vae_cli.runs.facts import Facts, Row
from vae_cli.runs.origin import sign
from vae_cli.runs.outputs import adopt_data
from vae_cli.runs.previews import Errors, compare_with_mean, write_previews
from vae_cli.runs.recorder import RunRecorder
from vae_cli.runs.resolve import Resolved, training_bytes
from vae_cli.runs.start import SavedState, require_unchanged
from vae_cli.runs.together import agree, leaving_together, require_no_signal, share_start
from vae_cli.settings import Plan, differences
from vae_cli.training import (
    ALONE,
    Epoch,
    EpochReport,
    TrainState,
    World,
    fit,
    prepare_epoch,
)
from vae_cli.training.loop import never
from vae_cli.training.precision import Precision, apply_precision, time_steps


@contextmanager
def explained_failures(recorder: RunRecorder) -> Iterator[None]:
    """Keep the best weights if a training fails, whatever the reason.

    Raises:
        NonFiniteLossError: the loss was not finite.
        LostProcessError: another process has ended.
        VAEError: the data were changed, or a file cannot be written.
    """
    try:
        yield
    except NonFiniteLossError as error:
        recorder.save_diverged()
        epoch = recorder.history.best_epoch
        kept = f"; the weights of epoch {epoch} are kept" if epoch else ""
        raise NonFiniteLossError(
            f"{error.message}: try a lower {mark('optimizer.learning_rate')}{kept}"
        ) from error
    except LostProcessError as error:
        recorder.save_best()
        run = recorder.run
        remedy = f"go on with: vae train --resume {run.name}" if run.last.is_file() else ""
        raise LostProcessError(error.message, remedy) from error
    except Exception:
        recorder.save_best()
        raise


@contextmanager
def explained_memory(resolved: Resolved) -> Iterator[None]:
    """Say what to do if the memory is full.

    Raises:
        VAEError: it is.
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, torch.OutOfMemoryError) or is_memory_full(error)):
            raise
        raise VAEError(explain_full_memory(resolved.config, resolved.device)) from error


def explain_full_memory(plan: Plan, device: torch.device) -> str:
    """What to try if memory is full: first what computes the same batch in smaller pieces."""
    training = plan.training
    batch_size, pieces = training.batch_size, training.accumulate
    if batch_size == 1:
        return (
            f"out of memory on {device.type} with one image a step: try a smaller "
            f"{mark(plan.model.size_key)}"
        )
    can_divide = pieces < batch_size and not plan.comparison
    same = f"{mark(f'training.accumulate={2 * pieces}')}, or " if can_divide else ""
    return (
        f"out of memory on {device.type} at {mark(f'training.batch_size={batch_size}')}: "
        f"try {same}{mark(f'training.batch_size={batch_size // 2}')}"
    )


class FinishedRun(NamedTuple):
    """A run after its last epoch.

    Attributes:
        run: its directory.
        rows: the rows of `metrics.csv`, including those from before a resume.
        errors: of its reconstructions, and of the mean item; None if they cannot be computed.
    """

    run: Run
    rows: list[Row]
    errors: Errors | None


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
    world: World = ALONE,
) -> FinishedRun:
    """Train a run to its last epoch.

    Of several processes that train together, the first does this, and the others `follow_run`.

    Args:
        run: its directory.
        resolved: the data and the settings.
        saved: the last state of this run, to resume it.
        report: called with the metrics of each epoch.
        progress: called with the number of items trained on since the start, and the number for the
            whole run; first when everything is checked and the training begins.
        stopped: returns the number of the signal that asked the training to stop, if there was one.
        world: the processes that train together.

    Returns:
        The run, which may have been renamed in the meantime, and its metrics.

    Raises:
        InterruptedRunError: there was a signal; the state was saved first.
        UsageError: another process is training the run, or its data have changed.
        NonFiniteLossError: the training loss is not finite; the best checkpoint so far remains.
        VAEError: memory is full, a file cannot be written, or the checkpoint does not fit.
    """
    with ExitStack() as locks:
        take_directory(run, saved, locks)
        adopt_data(resolved.config.data.name)
        recorder = make_recorder(run, resolved, resolved.initial_state(), locks)
        apply_precision(resolved.precision, recorder.state)
        with discarded_unless_begun(run, saved):
            require_no_signal(stopped, world)
        if saved:
            go_on(recorder, saved)
        share_start(recorder.state, world)
        fit_recorded(
            recorder, resolved, report=report, progress=progress, stopped=stopped, world=world
        )
        errors = finish(recorder, resolved)
        if signal := stopped():
            raise InterruptedRunError(f"stopped, but run {recorder.run.name} is finished", signal)
        return FinishedRun(recorder.run, recorder.history.rows, errors)


@contextmanager
def discarded_unless_begun(run: Run, saved: SavedState | None) -> Iterator[None]:
    """Remove the directory of a new run if a signal stops it before its first step."""
    try:
        yield
    except InterruptedRunError:
        if saved is None:
            run.discard()
        raise


def take_directory(run: Run, saved: SavedState | None, locks: ExitStack) -> None:
    """Lock the directory of a run, and check that it is as it was and can be written.

    Raises:
        UsageError: another process is training the run, or has changed it since it was read.
        VAEError: it cannot be written.
    """
    locks.enter_context(locked(run))
    if saved:
        require_unchanged(run, saved)
    require_writable_folder(run.path)
    require_written_inside(run.path)
    remove_leftovers(run.path)


def go_on(recorder: RunRecorder, saved: SavedState) -> None:
    """Go on from the last state of a run, whose data may have moved.

    Raises:
        UsageError: the contents of its data have changed.
        VAEError: the state does not fit, or a file cannot be written.
    """
    recorder.restore(saved)
    warn_of_other_division(saved.facts.config, recorder.facts.config)
    recorder.run.reopen()
    recorder.run.write_config(recorder.facts.config)
    if saved.facts.config.data.name != recorder.facts.config.data.name:
        recorder.follow_data()
    recorder.hold_best()


def warn_of_other_division(before: Plan, now: Plan) -> None:
    """Say that a run goes on with other sums, if its batches are divided in another way."""
    keys = ("training.processes", "training.accumulate")
    if changes := [change for change in differences(before, now) if change.key in keys]:
        listed = " and ".join(f"{mark(c.key)} was {c.before} and is now {c.after}" for c in changes)
        text = (
            f"{listed}: sums are rounded in another order from here on, not bit for bit as before"
        )
        warnings.warn(VAEWarning(text), stacklevel=2)


def fit_recorded(
    recorder: RunRecorder,
    resolved: Resolved,
    *,
    report: Callable[[EpochReport], None],
    progress: Progress,
    stopped: Callable[[], int | None],
    world: World,
) -> None:
    """Train to the last epoch, and save on the way.

    Raises:
        InterruptedRunError: there was a signal; the state was saved first.
        NonFiniteLossError: the training loss is not finite; the best weights so far remain.
        VAEError: memory is full, or a file cannot be written.
    """
    state, items = recorder.state, len(resolved.train)
    progress(state.epoch * items + state.totals.count, resolved.config.training.epochs * items)

    def save_or_stop(done: int, total: int) -> None:
        progress(done, total)
        recorder.save_or_stop(agree(stopped(), world))

    def record_and_report(epoch: EpochReport) -> None:
        recorder.record_epoch(epoch)
        report(epoch)

    with leaving_together(world), explained_failures(recorder), explained_memory(resolved):
        fit_resolved(
            state,
            resolved,
            record_and_report,
            save_or_stop,
            recorder.is_patience_over,
            world=world,
        )


def follow_run(
    resolved: Resolved, world: World, *, stopped: Callable[[], int | None] = never_stopped
) -> None:
    """Train together with the process that has the run, which alone writes and reports.

    Raises:
        InterruptedRunError: one of the processes got a signal.
        NonFiniteLossError: the training loss is not finite.
        LostProcessError: another process has ended.
        VAEError: memory is full.
    """
    state = resolved.initial_state()
    apply_precision(resolved.precision, state)
    require_no_signal(stopped, world)
    share_start(state, world)

    def stop(*_done: int) -> None:
        if signal := agree(stopped(), world):
            raise InterruptedRunError("stopped with the other processes", signal)

    with leaving_together(world), explained_memory(resolved):
        fit_resolved(state, resolved, ignore_report, stop, world=world)


def make_recorder(run: Run, resolved: Resolved, state: TrainState, locks: ExitStack) -> RunRecorder:
    """The recorder of a run before its first epoch."""
    facts = Facts(
        config=resolved.config,
        data=resolved.spec,
        counts=(len(resolved.train), len(resolved.test)),
        data_digest=resolved.data_digest,
        data_stamp=resolved.data_stamp,
        origin=sign(resolved.config.data.name),
        epoch=0,
    )
    return RunRecorder(
        run=run,
        facts=facts,
        held_out_name=resolved.held_out_name,
        state=state,
        interval=resolved.config.training.save_interval,
        locks=locks,
    )


def fit_resolved(
    state: TrainState,
    resolved: Resolved,
    report: Callable[[EpochReport], None],
    progress: Progress,
    stop_early: Callable[[], bool] = never,
    world: World = ALONE,
) -> None:
    """Call `fit` with the numbers of the settings."""
    config, training = resolved.config, resolved.config.training
    steps = steps_per_epoch(len(resolved.train), training.batch_size)
    fit(
        state,
        resolved.train,
        resolved.test,
        epochs=training.epochs,
        batch_size=training.batch_size,
        seed=training.seed,
        learning_rate=config.build_schedule(steps * training.epochs),
        warmup=config.objective.build_warmup(steps),
        accumulate=training.accumulate,
        stop_early=stop_early,
        report=report,
        progress=progress,
        world=world,
    )


def finish(recorder: RunRecorder, resolved: Resolved) -> Errors | None:
    """Save a run after its last epoch, take its best weights, and draw its previews.

    The run is finished even if they cannot be drawn.

    Returns:
        The errors of the best weights; None if there are no previews either.

    Raises:
        VAEError: a file cannot be written.
    """
    recorder.save()
    if math.isinf(recorder.history.best_loss):
        warnings.warn(
            f"the {resolved.held_out_name} loss is not finite after any epoch: the weights of the "
            f"last, epoch {recorder.history.best_epoch}, are kept",
            stacklevel=2,
        )
    model = recorder.state.model
    model.load_state_dict(recorder.best_weights())
    model.eval()
    recorder.find_place()
    try:
        errors = compare_with_mean(model, resolved)
        write_previews(model, recorder.run, resolved)
    except Exception as error:
        reason = str(error) if isinstance(error, VAEError) else f"{type(error).__name__}: {error}"
        write_bytes(recorder.run.no_previews, f"{reason}\n".encode())
        warnings.warn(f"the run is finished, but it has no previews: {reason}", stacklevel=2)
        return None
    return errors


@final
@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a training needs.

    Attributes:
        parameters: number of learned values.
        parameter_bytes: memory of the parameters, their gradients and the moments of Adam.
        batch_bytes: memory between the forward and the backward pass of a batch.
        data_bytes: memory of both sets on the device; a streamed one takes none.
        steps: per epoch.
        step_seconds: of one step, without the evaluation on the test set.
    """

    parameters: int
    parameter_bytes: int
    batch_bytes: int
    data_bytes: int
    steps: int
    step_seconds: float

    @property
    def epoch_seconds(self) -> float:
        """The training part of an epoch."""
        return self.steps * self.step_seconds


def estimate_training(resolved: Resolved) -> Estimate:
    """Measure a training with a new state that is thrown away; nothing is written.

    Of several processes, one is measured, with its part of a batch, and exchanges nothing.
    """
    training, size = resolved.config.training, resolved.model_size()
    parts = (resolved.train, resolved.test)
    items = {id(part.items): part.items for part in parts if isinstance(part, InMemory)}
    return Estimate(
        parameters=size.parameters,
        parameter_bytes=training_bytes(resolved.blueprint),
        batch_bytes=size.batch_bytes,
        data_bytes=sum(tensor.nbytes for tensor in items.values()),
        steps=steps_per_epoch(len(resolved.train), training.batch_size),
        step_seconds=measure_step(resolved, resolved.precision),
    )


def measure_step(resolved: Resolved, precision: Precision) -> float:
    """The seconds of one training step in a precision, after the first steps have been compiled."""
    state, training = resolved.initial_state(), resolved.config.training
    batch_size = math.ceil(training.batch_size / training.processes)
    apply_precision(precision, state)

    def prepare(steps: int) -> list[Epoch]:
        some = resolved.train.head(steps * batch_size)
        return [prepare_epoch(state, some, batch_size, accumulate=training.accumulate)]

    return min(seconds for (seconds,) in time_steps(prepare))
