"""A gradient that is not finite never reaches the weights, even if the loss is finite."""

import math

import pytest
import torch
from torch import Tensor

from vae_cli.data.split import InMemory
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Context, Inference, Loss, NegativeELBO, Objective
from vae_cli.model.objectives.objective import AFTER_WARMUP
from vae_cli.settings import merge
from vae_cli.settings.build import build_state
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
        def __call__(
            self, x: Tensor, inference: Inference, context: Context = AFTER_WARMUP
        ) -> Loss:
            loss = NegativeELBO()(x, inference, context)
            return Loss(InfiniteSlope.apply(loss.loss, slope), loss.terms)

    state = build_state(merge(("", {"model": {"hidden": [8]}})), (1, 4, 4), CPU)
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    epoch = TracedEpoch(state, SteepELBO(), InMemory.whole(torch.rand(16, 1, 4, 4)), 8)
    with pytest.raises(NonFiniteLossError, match="gradient is not finite"):
        epoch.run(torch.arange(16), torch.full((2,), 0.1), torch.ones(2))
    for name, tensor in state.tensors().items():
        if name.startswith(("model.", "optimizer.")):
            assert tensor.equal(before[name]), name


def test_finite_gradients_leave_the_loss_exactly_as_it_is() -> None:
    state = build_state(merge(("", {"model": {"hidden": [8]}})), (1, 4, 4), CPU)
    x = torch.rand(8, 1, 4, 4)
    epoch = TracedEpoch(state, NegativeELBO(), InMemory.whole(x), 8)
    before = state.generator.get_state()
    loss, _ = epoch.plain(x, torch.ones(()))
    state.generator.set_state(before)
    assert loss.loss.equal(NegativeELBO()(x, state.model(x, 1, state.generator)).loss.detach())
