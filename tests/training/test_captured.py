"""The epoch whose step is captured as a CUDA graph; without a GPU, the same step uncaptured."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vae_cli.data.split import InMemory
from vae_cli.training import CapturedEpoch, TracedEpoch, TrainState

MakeImages = Callable[..., Tensor]
MakeState = Callable[..., TrainState]
RATES = torch.full((5,), 1e-2)
WARMUPS = torch.linspace(0, 1, 5)


def test_a_captured_epoch_trains_as_a_traced_epoch(
    make_state: MakeState, make_images: MakeImages
) -> None:
    traced, captured = make_state(), make_state()
    split, order = InMemory.whole(make_images(70)), torch.randperm(70)
    expected = TracedEpoch(traced, split, 16).run(order, RATES, WARMUPS)
    epoch = CapturedEpoch(captured, split, 16)
    metrics = epoch.run(order, RATES, WARMUPS)
    assert metrics.loss == pytest.approx(expected.loss, rel=1e-6)
    assert traced.step == captured.step == 5
    for name, tensor in traced.tensors().items():
        torch.testing.assert_close(captured.tensors()[name], tensor)
    assert epoch.run(order, RATES, WARMUPS).loss < metrics.loss


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_graph_trains_as_the_steps_that_it_captured(
    make_state: MakeState, make_images: MakeImages
) -> None:
    losses = []
    for capture in (False, True):
        state = make_state(device="cuda")
        epoch = CapturedEpoch(state, InMemory.whole(make_images(70).cuda()), 16)
        if capture:
            epoch.capture()
        for _ in range(20):
            metrics = epoch.run(torch.arange(70), RATES, WARMUPS)
        losses.append(metrics.loss)
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
