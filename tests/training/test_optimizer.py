"""Adam against torch's own, and its protection from losses that are not finite."""

import math

import pytest
import torch
from torch import Tensor

from vae_cli.training import Adam


def gradients(layer: torch.nn.Linear, x: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(layer(x).square().sum(), list(layer.parameters()))


def test_adam_agrees_with_the_adam_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    adam = Adam(dict(ours.named_parameters()))
    reference = torch.optim.Adam(theirs.parameters(), lr=0.1)
    for step in range(5):
        x, rate = torch.randn(4, 3), 0.1 / (step + 1)
        adam.step(gradients(ours, x), rate, torch.tensor(1.0))
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        theirs(x).square().sum().backward()
        reference.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_changes_neither_weights_nor_moments(loss: float) -> None:
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 2), torch.randn(4, 3)
    adam = Adam(dict(layer.named_parameters()))
    adam.step(gradients(layer, x), 0.1, torch.tensor(1.0))
    tensors = adam.tensors() | dict(layer.named_parameters())
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    adam.step(gradients(layer, x), 0.1, torch.tensor(loss))
    for name, tensor in tensors.items():
        assert tensor.equal(before[name]), name
    adam.step(gradients(layer, x), 0.1, torch.tensor(1.0))
    for name, tensor in tensors.items():
        assert not tensor.equal(before[name]), name
