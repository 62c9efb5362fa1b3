"""A gradient that is not finite never reaches the weights, even if the loss is finite."""

import math
from dataclasses import replace

import pytest
import torch
from models import compute, lose, make_state, mlp_vae
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Context, Inference, Loss, NegativeELBO, Objective
from vae_cli.training import TracedEpoch

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
