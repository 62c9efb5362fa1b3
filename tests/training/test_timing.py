"""How long a step takes is measured with few steps if they are slow."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from vae_cli.data.split import InMemory
from vae_cli.runs import train
from vae_cli.runs.resolve import resolve
from vae_cli.runs.train import estimate_training
from vae_cli.settings import merge
from vae_cli.training import Epoch, TrainState, precision, prepare_epoch
from vae_cli.training.precision import bfloat16_is_faster

MakeImages = Callable[..., Tensor]
MakeState = Callable[..., TrainState]
BATCH_SIZE = 8


@pytest.mark.parametrize(("limit", "steps"), [(0.0, 3), (60.0, 2 + 10 * (1 + precision.TURNS))])
def test_three_steps_of_a_slow_network_are_enough_in_each_precision(
    monkeypatch: pytest.MonkeyPatch,
    make_state: MakeState,
    make_images: MakeImages,
    limit: float,
    steps: int,
) -> None:
    monkeypatch.setattr(precision, "SLOW_SECONDS", limit)
    states: list[TrainState] = []

    def make() -> TrainState:
        states.append(make_state())
        return states[-1]

    split = InMemory.whole(make_images(100 * BATCH_SIZE))
    assert bfloat16_is_faster(make, split, BATCH_SIZE) in {True, False}
    assert [state.step for state in states] == [steps, steps]
    assert [state.dtype for state in states] == [torch.float32, torch.bfloat16]


def test_a_dry_run_of_a_slow_network_takes_three_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[Epoch] = []

    def prepare(state: TrainState, *others: Any, **more: Any) -> Epoch:
        epochs.append(prepare_epoch(state, *others, **more))
        return epochs[-1]

    monkeypatch.setattr(precision, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(train, "prepare_epoch", prepare)
    settings = {"data": {"limit": 1000}, "training": {"precision": "float32"}}
    found = estimate_training(resolve(merge(("", settings)), torch.device("cpu")))
    assert found.step_seconds > 0
    assert [epoch.state.step for epoch in epochs] == [3]
