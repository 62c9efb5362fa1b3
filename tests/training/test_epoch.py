"""One pass over the training set."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vae_cli.data.split import InMemory
from vae_cli.training import TracedEpoch, TrainState, evaluate

MakeImages = Callable[..., Tensor]
MakeState = Callable[..., TrainState]


def test_training_metrics_are_averages_over_images_and_not_over_batches(
    make_state: MakeState, make_images: MakeImages
) -> None:
    """At a learning rate of 0, batches of unequal sizes give the averages of one whole batch."""
    state, split = make_state(noise=False), InMemory.whole(make_images(70))
    expected = evaluate(state.model, state.objective, split, data_size=70, seed=0)
    epoch = TracedEpoch(state, split, 32)
    metrics = epoch.run(torch.randperm(70), torch.zeros(3), torch.ones(3))
    assert metrics.terms == pytest.approx(expected.terms, rel=1e-5)
    assert metrics.loss == pytest.approx(expected.loss, rel=1e-5)
