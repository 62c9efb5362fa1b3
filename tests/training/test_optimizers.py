"""Each optimizer against the one of torch, and losses that are not finite."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vae_cli.settings import merge
from vae_cli.training.optimizers import Adam, AdaMax, Optimizer

RATES = (0.1, 0.05, 0.2, 0.01, 0.03, 0.1)
MAX_NORM = 3.0
CLIPPED = {"clip_norm": MAX_NORM}


def network() -> nn.Module:
    """Three tensors of different sizes, in float64, so that only the formula counts."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2, bias=False)).double()


def gradients(layers: nn.Module, step: int) -> tuple[Tensor, ...]:
    """Gradients whose size changes from step to step by a factor of up to 200."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    loss = (10.0 ** (step % 3 - 1)) * layers(x).square().sum()
    return torch.autograd.grad(loss, list(layers.parameters()))


def clip(parameters: list[nn.Parameter]) -> None:
    nn.utils.clip_grad_norm_(parameters, MAX_NORM)


def normalize(parameters: list[nn.Parameter]) -> None:
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad /= parameter.grad.norm()


def leave(parameters: list[nn.Parameter]) -> None:
    pass


Reference = Callable[..., torch.optim.Optimizer]
# The settings, the class of torch with its arguments, and what is done to the gradients before.
REFERENCES: dict[
    str, tuple[dict[str, object], Reference, dict[str, float], Callable[..., None]]
] = {
    "adam": ({}, torch.optim.Adam, {}, leave),
    "adam, clipped": (CLIPPED, torch.optim.Adam, {}, clip),
    "adamw": ({"weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}, leave),
    "adamw, clipped": (CLIPPED, torch.optim.AdamW, {"weight_decay": 0.01}, clip),
    "adamw, no decay": ({"weight_decay": 0.0}, torch.optim.Adam, {}, leave),
    "adamax": ({}, torch.optim.Adamax, {}, leave),
    "adamax, clipped": (CLIPPED, torch.optim.Adamax, {}, clip),
    "normgrad": ({}, torch.optim.Adam, {}, normalize),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_the_weights_of_six_steps_are_those_of_torch(case: str) -> None:
    settings, make_reference, arguments, change = REFERENCES[case]
    name = case.partition(",")[0]
    ours, theirs = network(), network()
    config = merge(("", {"optimizer": {"name": name, **settings}})).optimizer
    optimizer, weights = config.build(ours), list(theirs.parameters())
    reference = make_reference(weights, lr=1.0, **arguments)
    for step, rate in enumerate(RATES):
        same = gradients(theirs, step)
        optimizer.step([gradient.clone() for gradient in same], rate, torch.tensor(1.0))
        for weight, gradient in zip(weights, same, strict=True):
            weight.grad = gradient
        change(weights)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        for found, expected in zip(ours.parameters(), weights, strict=True):
            # 1 − β₁ᵗ of AdaMax is in float32
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=3e-7)


def test_the_gradients_of_the_comparison_are_above_and_below_the_limit() -> None:
    norms = [torch.cat([g.flatten() for g in gradients(network(), s)]).norm() for s in range(6)]
    assert min(norms) < MAX_NORM < max(norms)


@pytest.mark.parametrize("kind", [Adam, AdaMax])
def test_a_loss_that_is_not_finite_changes_no_weight_and_the_next_step_goes_on(
    kind: Callable[..., Optimizer],
) -> None:
    for bad in (math.nan, math.inf, -math.inf):
        layers = network()
        optimizer = kind(dict(layers.named_parameters()))
        optimizer.step(gradients(layers, 0), 0.1, torch.tensor(1.0))
        before = copy.deepcopy(layers.state_dict())
        optimizer.step([g * bad for g in gradients(layers, 1)], 0.1, torch.tensor(bad))
        for name, weight in layers.state_dict().items():
            assert weight.equal(before[name]), name
        assert all(tensor.isfinite().all() for tensor in optimizer.tensors().values())
        optimizer.step(gradients(layers, 2), 0.1, torch.tensor(1.0))
        for name, weight in layers.state_dict().items():
            assert weight.isfinite().all(), name
            assert not weight.equal(before[name]), name


def test_a_skipped_step_of_adam_changes_no_moment() -> None:
    layers = network()
    adam = Adam(dict(layers.named_parameters()))
    adam.step(gradients(layers, 0), 0.1, torch.tensor(1.0))
    before = {name: tensor.clone() for name, tensor in adam.tensors().items()}
    adam.step(gradients(layers, 1), 0.1, torch.tensor(math.nan))
    assert all(tensor.equal(before[name]) for name, tensor in adam.tensors().items())
