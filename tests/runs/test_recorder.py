"""What is saved during a training, and when."""

import csv
import dataclasses
import signal
from collections.abc import Callable

import pytest

from vae_cli.data.dataset import Spec
from vae_cli.errors import InterruptedRunError, UsageError, VAEError
from vae_cli.runs.checkpoint import load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.recorder import RunRecorder
from vae_cli.runs.start import SavedState, load_for_resume
from vae_cli.settings import SaveInterval, merge

MakeRecorder = Callable[..., RunRecorder]
FinishEpoch = Callable[[RunRecorder, float], None]
CHANGED_DATA = (
    ({"counts": (91, 10)}, "its data have changed"),
    ({"data": Spec("dots", (1, 4, 4))}, "its data have changed"),
    ({"data_digest": "f" * 64}, "the contents of its data have changed"),
)


def read_saved(run: Run) -> SavedState:
    return load_for_resume(run, [])[0]


def test_the_first_epoch_is_saved_and_then_each_interval_of_epochs(
    make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    recorder = make_recorder(interval=SaveInterval(epochs=2))
    saved = []
    for epoch in range(1, 6):
        finish_epoch(recorder, 1.0)
        recorder.save_or_stop(None)
        saved.append(load_checkpoint(recorder.run.last).facts["epoch"])
        assert recorder.state.epoch == epoch
    assert saved == [1, 1, 3, 3, 5]


def test_nothing_is_saved_before_its_interval_of_seconds(
    make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    recorder = make_recorder(interval=SaveInterval(seconds=60))
    finish_epoch(recorder, 1.0)
    assert load_checkpoint(recorder.run.last).facts["epoch"] == 1
    for _ in range(2):
        recorder.run.last.unlink()
        recorder.save_or_stop(None)
        recorder.timer.next_save -= 58
        recorder.save_or_stop(None)
        assert not recorder.run.last.exists()
        recorder.timer.next_save -= 2
        recorder.save_or_stop(None)
        assert load_checkpoint(recorder.run.last).facts["epoch"] == 1


@pytest.mark.parametrize(("seconds", "first"), [(60, 5), (2, 2)])
def test_the_first_save_comes_after_five_seconds_or_an_interval_that_is_shorter(
    make_recorder: MakeRecorder, seconds: float, first: float
) -> None:
    recorder = make_recorder(interval=SaveInterval(seconds=seconds))
    recorder.save_or_stop(None)
    recorder.timer.next_save -= first - 1
    recorder.save_or_stop(None)
    assert not recorder.run.last.exists()
    recorder.timer.next_save -= 1
    recorder.save_or_stop(None)
    assert load_checkpoint(recorder.run.last).facts["epoch"] == 0


def test_a_signal_saves_the_state_and_stops_with_the_command_to_resume(
    make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    recorder = make_recorder()
    finish_epoch(recorder, 1.0)
    message = "^stopped in epoch 2; go on with: vae train --resume run$"
    with pytest.raises(InterruptedRunError, match=message) as stop:
        recorder.save_or_stop(signal.SIGTERM)
    assert stop.value.exit_code == 143
    assert load_checkpoint(recorder.run.last).facts["progress"]["step"] == 1


def test_the_best_checkpoint_has_the_weights_of_the_lowest_test_loss_and_nothing_else(
    make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    recorder = make_recorder()
    losses = [3.0, 1.0, 2.0]
    for loss in losses:
        finish_epoch(recorder, loss)
        if loss == min(losses):
            weights = {n: t.clone() for n, t in recorder.state.model.state_dict().items()}
    recorder.save()
    best, last = load_checkpoint(recorder.run.best), load_checkpoint(recorder.run.last)
    assert (best.facts["epoch"], last.facts["epoch"]) == (2, 3)
    names = {"kl_by_dim", *(f"state.model.{name}" for name in weights)}
    assert best.tensors.keys() == names
    for name, tensor in weights.items():
        assert best.group("state.model")[name].equal(tensor), name
    assert best.tensors["kl_by_dim"].tolist() == [0.75, 0.0]
    for name, tensor in recorder.best_weights().items():
        assert tensor.equal(best.group("state.model")[name]), name


def test_the_metrics_have_one_row_per_epoch(
    make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    recorder = make_recorder()
    for loss in (4.0, 2.0):
        finish_epoch(recorder, loss)
    recorder.save()
    with recorder.run.metrics_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["test_loss"]) for row in rows] == [4.0, 2.0]
    assert [float(row["train_mse"]) for row in rows] == [1.0, 0.5]
    assert {row["active_dims"] for row in rows} == {"1"}


def test_a_restored_recorder_continues_with_state_rows_and_best_loss(
    make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    first, second = make_recorder("first"), make_recorder("second", SaveInterval(epochs=1))
    for loss in (3.0, 1.0):
        finish_epoch(first, loss)
    first.save()
    second.restore(read_saved(first.run))
    for name, tensor in first.state.tensors().items():
        assert tensor.equal(second.state.tensors()[name]), name
    assert second.state.position() == first.state.position()
    finish_epoch(second, 2.0)
    assert [row["test_loss"] for row in second.history.rows] == [3.0, 1.0, 2.0]
    assert load_checkpoint(second.run.last).facts["epoch"] == 3
    assert not second.run.best.exists()  # 2.0 is not better than the 1.0 before


def test_a_run_whose_data_have_changed_is_not_restored(
    make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    recorder = make_recorder()
    finish_epoch(recorder, 1.0)
    recorder.save()
    for change, message in CHANGED_DATA:
        other = make_recorder(f"other-{next(iter(change))}")
        other.facts = dataclasses.replace(other.facts, **change)
        with pytest.raises(UsageError, match=f"run {other.run.name} cannot go on: {message}"):
            other.restore(read_saved(recorder.run))


def test_a_checkpoint_without_a_digest_is_restored(
    make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    """It was written by a version without digests."""
    recorder = make_recorder()
    finish_epoch(recorder, 1.0)
    recorder.save()
    saved = read_saved(recorder.run)
    recorder.history.rows = []
    recorder.restore(saved._replace(facts=dataclasses.replace(saved.facts, data_digest="")))
    assert len(recorder.history.rows) == 1


@pytest.mark.parametrize("missing", ["step", "rows", "best_loss"])
def test_a_checkpoint_without_a_necessary_fact_is_not_restored(
    missing: str, make_recorder: MakeRecorder, finish_epoch: FinishEpoch
) -> None:
    recorder = make_recorder()
    finish_epoch(recorder, 1.0)
    recorder.save()
    good = load_checkpoint(recorder.run.last)
    del good.facts["progress"][missing]
    save_checkpoint(recorder.run.last, good)
    with pytest.raises(VAEError, match=rf"last\.safetensors is damaged: progress.{missing}: "):
        load_for_resume(recorder.run, [])


@pytest.mark.filterwarnings("ignore:.*take their place")
def test_patience_waits_for_new_weights_if_the_best_were_lost(
    make_recorder: Callable[..., RunRecorder], finish_epoch: Callable[[RunRecorder, float], None]
) -> None:
    recorder = make_recorder()
    recorder.history.config = merge(("", {"training": {"patience": 1}}))
    finish_epoch(recorder, 1.0)
    recorder.save()
    recorder.run.best.unlink()
    recorder.restore(load_for_resume(recorder.run, [])[0])
    over = [recorder.is_patience_over()]
    for loss in (2.0, 3.0):
        finish_epoch(recorder, loss)
        over.append(recorder.is_patience_over())
    assert over == [False, False, True]


def test_patience_begins_after_the_last_cycle_of_the_warm_up(
    make_recorder: Callable[..., RunRecorder], finish_epoch: Callable[[RunRecorder, float], None]
) -> None:
    recorder = make_recorder()
    tables = {
        "objective": {"warmup_epochs": 2, "warmup_cycles": 2},  # rising, full, rising: 6 epochs
        "training": {"patience": 1},
    }
    recorder.history.config = merge(("", tables))
    over = []
    for _ in range(7):
        finish_epoch(recorder, 1.0)
        over.append(recorder.is_patience_over())
    assert over == [*(6 * [False]), True]
