"""A run that was stopped and resumed ends as if it had not been stopped, bit for bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from results import assert_same_results
from shards import PATTERN, write_photos

from vae_cli.data.streamed import Streamed
from vae_cli.errors import InterruptedRunError
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run, create_run
from vae_cli.runs.lookup import find_stopped
from vae_cli.runs.recorder import Row
from vae_cli.runs.resolve import Resolved

NewRun = Callable[..., Run]
TrainSmall = Callable[..., list[Row]]


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
    resolve_small: Callable[..., Resolved],
    train_small: TrainSmall,
) -> Run:
    run = create_run(resolve_small().config, "uninterrupted", tmp_path_factory.mktemp("runs"))
    train_small(run)
    return run


QUICK_STEPS = {1, 10, 15, 30}  # of thirty: three epochs of ten steps


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=[] if step in QUICK_STEPS else pytest.mark.slow)
        for step in range(1, 31)
    ],
)
def test_a_run_stopped_after_any_step_is_resumed_bit_for_bit(
    step: int, uninterrupted: Run, new_run: NewRun, train_small: TrainSmall
) -> None:
    run = new_run()
    with pytest.raises(InterruptedRunError, match=r"vae train --resume run$") as stop:
        train_small(run, stop_at=step)
    assert stop.value.exit_code == 143
    assert load_checkpoint(run.last).facts["progress"]["step"] == step
    train_small(run)
    assert_same_results(run, uninterrupted)


def test_a_run_on_shards_is_resumed_bit_for_bit(
    tmp_path: Path,
    new_run: NewRun,
    resolve_small: Callable[..., Resolved],
    train_small: TrainSmall,
) -> None:
    write_photos(tmp_path)
    data = {"name": str(tmp_path / PATTERN), "limit": 0, "shuffle_window": 50}
    resolved = resolve_small(data=data, training={"epochs": 2}, model={"network": "mlp"})
    assert isinstance(resolved.train, Streamed)
    whole, run = (new_run(name, resolved) for name in ("whole", "run"))
    train_small(whole, resolved=resolved)
    with pytest.raises(InterruptedRunError):
        train_small(run, stop_at=9, resolved=resolved)
    train_small(run)
    assert_same_results(run, whole)


def test_a_conditional_run_is_resumed_bit_for_bit(
    tmp_path: Path,
    new_run: NewRun,
    resolve_small: Callable[..., Resolved],
    train_small: TrainSmall,
) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (400, 8, 8), np.uint8), random.integers(0, 3, 400)
    np.savez(tmp_path / "labelled.npz", images=images, labels=labels)
    data = {"name": str(tmp_path / "labelled.npz"), "condition": ["label"], "labelled": 0.5}
    resolved = resolve_small(data=data, model={"condition_dropout": 0.5})
    whole, run = (new_run(name, resolved) for name in ("whole", "run"))
    train_small(whole, resolved=resolved)
    with pytest.raises(InterruptedRunError):
        train_small(run, stop_at=12, resolved=resolved)
    train_small(run)
    assert_same_results(run, whole)


def test_a_run_stopped_many_times_is_resumed_bit_for_bit(
    uninterrupted: Run, new_run: NewRun, train_small: TrainSmall
) -> None:
    run, stops = new_run(), 0
    while not run.finished:
        try:
            train_small(run, stop_at=4)
        except InterruptedRunError:
            stops += 1
    assert stops == 7  # thirty steps
    assert_same_results(run, uninterrupted)


def test_a_resumed_run_that_has_finished_is_no_longer_the_stopped_one(
    tmp_path: Path, new_run: NewRun, train_small: TrainSmall
) -> None:
    run, other = new_run("stopped"), new_run("finished")
    with pytest.raises(InterruptedRunError):
        train_small(run, stop_at=3)
    train_small(other)
    assert find_stopped(None, tmp_path) == run
    train_small(run)
    assert run.finished
    assert find_stopped(None, tmp_path) == run  # as the one that finished last
