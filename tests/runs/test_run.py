"""Training one run: what is left in its directory, also after a failure."""

import dataclasses
import math
import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from models import spec_of

from vae_cli.data.batch import Batch
from vae_cli.errors import InterruptedRunError, NonFiniteLossError, VAEError, mark
from vae_cli.model import Loss, NegativeELBO
from vae_cli.runs import recorder
from vae_cli.runs import train as experiment
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.recorder import Row
from vae_cli.runs.resolve import Resolved
from vae_cli.runs.train import explain_full_memory, train_run
from vae_cli.settings import choose, merge
from vae_cli.training import TrainState, epochs, loss_and_gradients
from vae_cli.training.world import Share

NewRun = Callable[..., Run]
ResolveSmall = Callable[..., Resolved]
TrainSmall = Callable[..., list[Row]]


def test_a_finished_run_has_all_of_its_files(new_run: NewRun, train_small: TrainSmall) -> None:
    run = new_run()
    rows = train_small(run)
    assert run.finished
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert len(run.metrics_file.read_text().splitlines()) == 4
    files = {run.config_file, run.metrics_file, run.best, run.last, *run.previews(".png")}
    assert set(run.path.iterdir()) == files


def test_a_run_is_saved_after_its_first_epoch_at_its_interval_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
    new_run: NewRun,
    resolve_small: ResolveSmall,
    train_small: TrainSmall,
) -> None:
    saves: list[int] = []

    def save_and_count(path: Path, checkpoint: Checkpoint) -> None:
        if path.name == "last.safetensors":
            saves.append(checkpoint.facts["epoch"])
        save_checkpoint(path, checkpoint)

    monkeypatch.setattr(recorder, "save_checkpoint", save_and_count)
    resolved = resolve_small(training={"save_every": "2", "epochs": 6})
    train_small(new_run(resolved=resolved), resolved=resolved)
    assert saves == [1, 3, 5, 6]  # after the first epoch, every second one, and at the end


def test_the_best_checkpoint_has_the_lowest_test_loss_and_the_last_one_all_moments(
    new_run: NewRun, resolve_small: ResolveSmall, train_small: TrainSmall
) -> None:
    resolved = resolve_small(
        optimizer={"schedule": "constant", "learning_rate": 1.0, "warmup": 1.0},
        training={"epochs": 8},
    )
    run = new_run(resolved=resolved)
    rows = train_small(run, resolved=resolved)
    best, last = load_checkpoint(run.best), load_checkpoint(run.last)
    losses = [row["test_loss"] for row in rows]
    assert best.facts["epoch"] == losses.index(min(losses)) + 1 < last.facts["epoch"] == 8
    assert last.group("state.players.model")["decoder.project.bias.t"] == 10 * 8
    assert not best.group("state.players")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
    ],
)
def test_if_memory_is_full_the_error_names_a_smaller_batch_size(
    error: Exception, monkeypatch: pytest.MonkeyPatch, new_run: NewRun, train_small: TrainSmall
) -> None:
    def fail(*_arguments: object, **_settings: object) -> None:
        raise error

    monkeypatch.setattr(experiment, "fit", fail)
    with pytest.raises(
        VAEError,
        match=r"on cpu at training\.batch_size=32: .*accumulate=2, or .*=16$",
    ):
        train_small(new_run())


@pytest.mark.parametrize(
    ("network", "key"), [("two-level", "model.hidden"), ("hierarchical", "model.preset")]
)
def test_if_memory_is_full_with_one_image_per_step_the_error_names_a_smaller_network(
    network: str, key: str
) -> None:
    tables = {"model": {"network": network}, "training": {"batch_size": 1}}
    message = explain_full_memory(
        choose(merge(("", tables)), spec_of((1, 16, 16))), torch.device("cpu")
    )
    assert message.endswith(f"try a smaller {mark(key)}")


@pytest.mark.parametrize(
    "tables", [{"objective": {"name": "tc"}}, {"training": {"accumulate": 128}}]
)
def test_if_memory_is_full_no_more_pieces_are_advised_than_there_can_be(
    tables: dict[str, dict[str, Any]],
) -> None:
    plan = choose(merge(("", {"training": {"batch_size": 128}}), ("", tables)), spec_of((1, 8, 8)))
    assert "accumulate" not in explain_full_memory(plan, torch.device("cpu"))


def test_another_error_of_torch_is_not_taken_for_full_memory(
    monkeypatch: pytest.MonkeyPatch, new_run: NewRun, train_small: TrainSmall
) -> None:
    def fail(*_arguments: object, **_settings: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(experiment, "fit", fail)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train_small(new_run())


def test_a_signal_before_the_first_step_leaves_no_run(
    new_run: NewRun, train_small: TrainSmall
) -> None:
    run = new_run()
    with pytest.raises(InterruptedRunError, match="before the first step") as stop:
        train_small(run, stop_at=0)
    assert stop.value.exit_code == 128 + signal.SIGTERM
    assert not run.path.exists()


def test_a_signal_while_the_previews_are_drawn_leaves_a_finished_run(
    new_run: NewRun, train_small: TrainSmall
) -> None:
    run = new_run()
    with pytest.raises(InterruptedRunError, match="stopped, but run run is finished") as stop:
        train_small(run, stop_at=31)  # the question after the 30 steps
    assert stop.value.exit_code == 128 + signal.SIGTERM
    assert run.finished


def test_a_loss_that_is_not_finite_never_reaches_the_saved_weights(
    new_run: NewRun, resolve_small: ResolveSmall, times: Callable[[int, int], int]
) -> None:
    steps = (0, 7, 13, *random.Random(0).choices(range(29), k=47))
    for number, step in enumerate(steps[: times(3, 50)]):
        run = new_run(f"nan{number}")
        with pytest.MonkeyPatch.context() as patch:
            make_losses_nan(patch, after=step)
            with pytest.raises(NonFiniteLossError, match=r"optimizer\.learning_rate") as refusal:
                train_run(run, resolve_small(training={"save_every": "1"}))
        assert refusal.value.exit_code == 3
        assert not run.finished
        assert run.best.exists() == run.last.exists() == (step >= 10)  # an epoch has ten steps
        for path in filter(Path.exists, (run.best, run.last)):
            for tensor in load_checkpoint(path).group("state").values():
                assert tensor.isfinite().all()


def make_losses_nan(patch: pytest.MonkeyPatch, after: int) -> None:
    """Make every training loss NaN after so many steps."""
    compute, steps = NegativeELBO.forward, 0

    def poison(objective: NegativeELBO, *arguments: Any) -> Loss:
        nonlocal steps
        loss, training = compute(objective, *arguments), torch.is_grad_enabled()
        steps += training
        factor = math.nan if training and steps > after else 1.0
        return dataclasses.replace(loss, losses={"model": loss.losses["model"] * factor})

    def plain(state: TrainState, data_size: int, batch: Batch, share: Share) -> object:
        return partial(loss_and_gradients, state, data_size, share=share)

    patch.setattr(NegativeELBO, "forward", poison)
    patch.setattr(epochs, "trace", plain)  # a traced step would not count
