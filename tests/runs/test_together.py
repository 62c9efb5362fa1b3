"""Several processes, here threads, that train one run: what they agree on, and how they resume."""

import dataclasses
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from results import assert_same_results, results
from worlds import Threads, run_together

from vae_cli.data import batches
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec, TableRules
from vae_cli.errors import (
    InterruptedRunError,
    NonFiniteLossError,
    UsageError,
    VAEError,
)
from vae_cli.runs import train
from vae_cli.runs.begin import Begun, Wanted, begin, make_run
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run, create_run
from vae_cli.runs.resolve import Resolved, resolve
from vae_cli.runs.start import load_for_resume
from vae_cli.runs.together import (
    Shared,
    leaving_together,
    require_equal_data,
    share_settings,
    shared_from_json,
    shared_to_json,
)
from vae_cli.runs.train import follow_run, train_run
from vae_cli.settings import merge
from vae_cli.training import ALONE, World

CPU = torch.device("cpu")
NewRun = Callable[..., Run]
ResolveSmall = Callable[..., Resolved]


@pytest.fixture
def train_together(
    resolve_small: ResolveSmall, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """`train_together(run, size, stop_at=None, rank=1)`: a signal to one process after a step."""
    monkeypatch.setattr(batches, "MAX_CHUNK_VALUES", 32 * 64)  # a look after every step

    def start(run: Run, size: int, stop_at: int | None = None, rank: int = 1) -> None:
        saved, config = None, resolve_small().config
        if run.last.exists():
            saved, config = load_for_resume(run, [])

        def work(world: World) -> None:
            calls = -1  # the first call is before the first step

            def stopped() -> int | None:
                nonlocal calls
                calls += 1
                return signal.SIGTERM if calls == stop_at and world.rank == rank else None

            resolved = resolve(config, CPU, world=world)
            if world.rank > 0:
                follow_run(resolved, world, stopped=stopped)
            else:
                train_run(run, resolved, saved=saved, stopped=stopped, world=world)

        run_together(size, work)

    return start


def test_a_run_of_two_processes_is_resumed_by_two_bit_for_bit(
    new_run: NewRun, train_together: Callable[..., None]
) -> None:
    """Also in the middle of an epoch, whose metrics are of what both have done before."""
    whole, run = new_run("whole"), new_run("run")
    train_together(whole, 2)
    for step in (4, 11):
        with pytest.raises(InterruptedRunError, match=r"vae train --resume run|other processes"):
            train_together(run, 2, stop_at=step)
        assert not list(run.path.glob(".*"))
    assert load_checkpoint(run.last).facts["progress"]["step"] == 15
    train_together(run, 2)
    assert_same_results(run, whole)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 3)])
def test_a_run_goes_on_with_another_number_of_processes_and_says_so(
    before: int, after: int, new_run: NewRun, train_together: Callable[..., None]
) -> None:
    whole, run = new_run("whole"), new_run("run")
    train_together(whole, 1)
    with pytest.raises(InterruptedRunError):
        train_together(run, before, stop_at=14, rank=before - 1)
    with pytest.warns(UserWarning, match=f"training.processes was {before} and is now {after}: "):
        train_together(run, after)
    (tensors, rows, _), (expected, expected_rows, _) = results(run), results(whole)
    for name, tensor in expected.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensors[name], tensor, rtol=1e-3, atol=1e-4)
    for row, other in zip(rows[1:], expected_rows[1:], strict=True):
        ours, theirs = (list(map(float, line.split(","))) for line in (row, other))
        assert ours == pytest.approx(theirs, abs=1e-3)


def test_a_signal_before_the_first_step_stops_all_and_leaves_no_run(
    new_run: NewRun, train_together: Callable[..., None]
) -> None:
    run = new_run()
    with pytest.raises(InterruptedRunError, match="before the first step"):
        train_together(run, 3, stop_at=0, rank=2)
    assert not run.path.exists()


def test_a_loss_that_is_not_finite_in_one_process_ends_all_and_is_kept(
    new_run: NewRun, train_together: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, real, calls = new_run(), train.fit_resolved, 0

    def fit(state: Any, *words: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            state.totals.sums["loss"].fill_(torch.nan)
        real(state, *words, **more)

    monkeypatch.setattr(train, "fit_resolved", fit)
    with pytest.raises(NonFiniteLossError, match="epoch 1"):
        train_together(run, 2)


def test_a_follower_whose_memory_is_full_says_what_to_do(
    new_run: NewRun, train_together: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = train.fit_resolved, 0

    def fit(*words: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(*words, **more)

    monkeypatch.setattr(train, "fit_resolved", fit)
    with pytest.raises(VAEError, match=r"out of memory on cpu .*: try .*|another thread has ended"):
        train_together(new_run(), 2)


TABLE = Spec(
    "people",
    (3,),
    columns=(
        Column(name="age"),
        Column(name="city", kind="category", categories=("a", "ä")),
        Column(name="x"),
    ),
    table=TableRules(missing="mean", means=(0.5, 0.0, -1e-30)),
)


@pytest.mark.parametrize("like", [None, TABLE])
def test_the_others_get_the_settings_of_process_0(like: Spec | None) -> None:
    config = merge(("", {"data": {"limit": 300}, "model": {"network": "mlp", "hidden": [5, 4]}}))
    shared = Shared(config, like)
    assert shared_from_json(shared_to_json(shared)) == shared


def test_nothing_is_trained_if_process_0_has_nothing_left_to_do(
    new_run: NewRun, train_together: Callable[..., None]
) -> None:
    run = new_run()
    train_together(run, 1)
    saved, config = load_for_resume(run, [])
    begun = Begun(run=run, saved=saved, config=config)

    def work(world: World) -> Shared | None:
        return share_settings(begun if world.rank == 0 else None, world)

    assert run_together(3, work) == [None] * 3


def test_other_data_in_one_process_are_one_line_in_all(resolve_small: ResolveSmall) -> None:
    resolved, lines = resolve_small(), []
    changed = dataclasses.replace(resolved, data_digest="f" * 64)

    def work(world: World) -> None:
        with pytest.raises(UsageError) as error:
            require_equal_data(changed if world.rank == 2 else resolved, world)
        lines.append(str(error.value))

    run_together(3, work)
    assert len(lines) == 3
    assert len(set(lines)) == 1
    assert lines[0].startswith("process 2 has other data: contents with SHA-256 ffff")


def test_process_0_measures_the_precision_for_all(
    resolve_small: ResolveSmall, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks: list[int] = []
    settings = resolve_small().config
    settings = dataclasses.replace(
        settings, training=dataclasses.replace(settings.training, precision="auto", epochs=2000)
    )

    def work(world: World) -> Any:
        def measure(*_: Any) -> bool:
            ranks.append(world.rank)
            return True

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vae_cli.training.precision.has_native_bfloat16", lambda: world.rank == 0)
            patch.setattr("vae_cli.runs.resolve.bfloat16_is_faster", measure)
            return resolve(settings, CPU, world=world).config.training

    found = run_together(2, work)
    assert [(one.precision, one.processes) for one in found] == [("bfloat16", 2)] * 2
    assert ranks == [0]


class Remembering(type(ALONE)):  # type: ignore[misc]
    """A process whose launcher keeps a text."""

    def __init__(self) -> None:
        self.text = ""

    def remember(self, text: str) -> None:
        self.text = text

    def recall(self) -> str:
        return self.text


def test_a_launch_that_is_started_again_goes_on_with_its_own_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    resolve_small: ResolveSmall,
    train_small: Callable[..., Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    plan, world = resolve_small().config, Remembering()
    layers = [("typed", {"training": {"epochs": 3}, "optimizer": {"learning_rate": 0.5}})]
    wanted = Wanted(layers=layers, resume=False, name="mine")
    run = make_run(begin(wanted, world), plan, "mine", world)
    with pytest.warns(UserWarning, match="run mine starts again, because nothing was saved yet"):
        begun = begin(wanted, world)
    assert (begun.run, begun.saved) == (run, None)
    assert make_run(begun, plan, "mine", world) == run
    with pytest.raises(InterruptedRunError):
        train_small(run, stop_at=4)
    with pytest.warns(UserWarning, match="run mine goes on from its last save, in epoch 1"):
        begun = begin(wanted, world)
    assert begun.run == run
    assert begun.saved is not None
    with pytest.raises(UsageError, match="mine exists already"):  # for another launch
        begin(wanted, Remembering())


def test_a_resume_that_is_started_again_goes_on_with_the_same_run_and_what_was_typed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    resolve_small: ResolveSmall,
    train_small: Callable[..., Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    run, world = create_run(resolve_small().config, "mine"), Remembering()
    with pytest.raises(InterruptedRunError):
        train_small(run, stop_at=4)
    wanted = Wanted(layers=[("typed", {"training": {"epochs": 7}})], resume=True, name=None)
    assert begin(wanted, world).run == run
    with pytest.warns(UserWarning, match="run mine goes on from its last save, in epoch 1"):
        begun = begin(wanted, world)
    assert (begun.run, begun.config.training.epochs) == (run, 7)


def test_the_others_leave_when_process_0_has_saved() -> None:
    """If they ended before, their launcher would end process 0 too."""
    left: list[int] = []

    def work(world: World) -> None:
        assert isinstance(world, Threads)
        with suppress(InterruptedRunError), leaving_together(world):
            if world.rank == 0:  # it saves, while the others may run
                assert not world.meeting.turn.wait_for(lambda: bool(left), 0.3)
            raise InterruptedRunError("stopped", signal.SIGTERM)
        left.append(world.rank)

    run_together(3, work)
    assert sorted(left) == [0, 1, 2]


def test_process_0_alone_reads_the_weights_to_start_from(
    new_run: NewRun, train_small: Callable[..., Any], resolve_small: ResolveSmall
) -> None:
    """The others need no disk in common with it."""
    run = new_run()
    train_small(run)
    config = resolve_small(training={"start": str(run.path)}).config
    found = run_together(2, lambda world: resolve(config, CPU, world=world).weights is not None)
    assert found == [True, False]
