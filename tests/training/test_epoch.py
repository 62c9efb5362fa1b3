"""One pass over the training set."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from vae_cli.data.split import InMemory
from vae_cli.model import NegativeELBO
from vae_cli.training import CapturedEpoch, TracedEpoch, TrainState, evaluate
from vae_cli.training.step import Reduce

MakeImages = Callable[..., Tensor]
MakeState = Callable[..., TrainState]


def test_training_metrics_are_averages_over_images_and_not_over_batches(
    make_state: MakeState, make_images: MakeImages
) -> None:
    """At a learning rate of 0, batches of unequal sizes give the averages of one whole batch."""
    state, split = make_state(noise=False), InMemory.whole(make_images(70))
    expected = evaluate(state.model, NegativeELBO(), split, seed=0)
    epoch = TracedEpoch(state, NegativeELBO(), split, 32)
    metrics = epoch.run(torch.randperm(70), torch.zeros(3), torch.ones(3))
    assert metrics.terms == pytest.approx(expected.terms, rel=1e-5)
    assert metrics.loss == pytest.approx(expected.loss, rel=1e-5)


class Averages:
    """What two processes compute together: each thread gets the average of both threads."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=30)
        self.inputs: dict[int, list[Tensor]] = {}

    def of(self, rank: int) -> Reduce:
        def average(tensors: list[Tensor]) -> list[Tensor]:
            self.inputs[rank] = [tensor.clone() for tensor in tensors]
            self.barrier.wait()
            averages = [(a + b) / 2 for a, b in zip(*self.inputs.values(), strict=True)]
            self.barrier.wait()
            return averages

        return average


@pytest.mark.parametrize("kind", [TracedEpoch, CapturedEpoch])
def test_two_processes_with_half_of_each_batch_train_as_one_process(
    kind: type[TracedEpoch | CapturedEpoch], make_state: MakeState, make_images: MakeImages
) -> None:
    images, rates, averages = make_images(72), torch.full((5,), 1e-2), Averages()
    alone = make_state(noise=False)
    whole = kind(alone, NegativeELBO(), InMemory.whole(images), 16)
    expected = [whole.run(torch.arange(72), rates, torch.ones(5)) for _ in range(2)]
    states = [make_state(noise=False) for _ in range(2)]
    halves = [
        kind(state, NegativeELBO(), InMemory.whole(images[rank::2]), 8, averages.of(rank))
        for rank, state in enumerate(states)
    ]
    for metrics in expected:
        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(half.run, torch.arange(36), rates, torch.ones(5)) for half in halves
            ]
            for run in runs:
                assert run.result().loss == pytest.approx(metrics.loss, rel=1e-5)
                assert run.result().terms == pytest.approx(metrics.terms, rel=1e-5)
    assert alone.step == 10
    for state in states:
        for name, tensor in alone.tensors().items():
            torch.testing.assert_close(state.tensors()[name], tensor, rtol=1e-4, atol=1e-5)
