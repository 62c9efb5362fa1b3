"""One pass over the training set: averages, gradients that are not finite, a captured step."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from models import compute, conditional_vae, lose, make_state, mlp_vae
from torch import Tensor
from worlds import run_together

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Context, Inference, Loss, NegativeELBO, Objective
from vae_cli.training import ALONE, CapturedEpoch, TracedEpoch, TrainState, World, evaluate

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


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_captured_epoch_of_several_processes_trains_as_one(accumulate: int) -> None:
    """Each takes its items and their conditions by index; the last batch is of a single item."""
    generator = torch.Generator().manual_seed(0)
    split = replace(
        InMemory.whole(torch.rand(17, 1, 6, 5, generator=generator)),
        condition=torch.randint(0, 4, (17,), generator=generator),
    )

    def train(world: World = ALONE) -> dict[str, Tensor]:
        state = make_state(conditional_vae())
        epoch = CapturedEpoch(state, split, 8, world, accumulate)
        metrics = epoch.run(torch.arange(17).flip(0), RATES[:3], WARMUPS[:3])
        return {**state.tensors(), "loss": torch.tensor(metrics.loss)}

    expected = train()
    for found in run_together(3, train):
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5)


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


CPU = torch.device("cpu")


class InfiniteSlope(torch.autograd.Function):
    """The identity, with a gradient that is infinite or not a number."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, x: Tensor, slope: float) -> Tensor:
        context.slope = slope
        return x.clone()

    @staticmethod
    def backward(
        context: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor, None]:
        return gradient * context.slope, None


@pytest.mark.parametrize("slope", [math.inf, -math.inf, math.nan])
def test_an_infinite_gradient_of_a_finite_loss_ends_the_training(slope: float) -> None:
    class SteepELBO(Objective):
        def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
            loss = NegativeELBO()(batch, inference, context)
            return replace(loss, losses={"model": InfiniteSlope.apply(loss.losses["model"], slope)})

    state = make_state(mlp_vae((1, 4, 4)), SteepELBO())
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    epoch = TracedEpoch(state, InMemory.whole(torch.rand(16, 1, 4, 4)), 8)
    with pytest.raises(NonFiniteLossError, match="gradient is not finite"):
        epoch.run(torch.arange(16), torch.full((2,), 0.1), torch.ones(2))
    for name, tensor in state.tensors().items():
        if name.startswith(("model.", "players.")):
            assert tensor.equal(before[name]), name


def test_finite_gradients_leave_the_loss_exactly_as_it_is() -> None:
    state, x = make_state(mlp_vae((1, 4, 4))), torch.rand(8, 1, 4, 4)
    before = state.noise.state()
    loss, _ = compute(state, x)
    state.noise.restore(before)
    expected = lose(state.objective, x, state.model(Batch(x), 1, state.noise))
    assert loss.losses["model"].equal(expected.losses["model"].detach())
