"""Inverse autoregressive flows: densities, Jacobians and inverses."""

import math

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.model import FlowHead, FlowPosterior, Level, StandardNormal
from vae_cli.model.autoregressive import AutoregressiveFlow, AutoregressiveStep
from vae_cli.noise import Noise

DIMS, HIDDEN = 5, 12


def posterior(items: int = 4, dims: int = DIMS, steps: int = 3) -> FlowPosterior:
    torch.manual_seed(0)
    head = FlowHead(dims, steps, HIDDEN).double()
    for parameter in head.parameters():
        parameter.data.mul_(2)  # far from the identity
    parameters = torch.randn(items, head.outputs, generator=Generator().manual_seed(0))
    made: FlowPosterior = head(parameters)
    return made.apply(lambda tensor: tensor.double())


@pytest.mark.parametrize("dims", [1, 2, DIMS])
def test_the_density_of_samples_is_that_of_the_jacobian(dims: int) -> None:
    """log q(f(ε)) = log N(ε; 0, I) − log |det ∂f/∂ε|, with the Jacobian by autograd."""
    q = posterior(items=1, dims=dims)

    def transform(epsilon: Tensor) -> Tensor:
        start = q.mean + (0.5 * q.log_variance).exp() * epsilon
        return q.flow(start, q.context)[0][0]

    z, log_q = q.draw(6, Noise(3))
    assert log_q is not None
    for number, epsilon in enumerate(Noise(3).normal((6, 1, dims), 1, torch.float64)):
        torch.testing.assert_close(transform(epsilon), z[number, 0])
        jacobian = torch.autograd.functional.jacobian(transform, epsilon).view(dims, dims)
        log_normal = -0.5 * (epsilon.square().sum() + dims * math.log(2 * math.pi))
        expected = log_normal - torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(log_q[number, 0], expected)


def test_the_inverse_finds_the_density_that_came_with_the_samples() -> None:
    q = posterior()
    z, log_q = q.draw(7, Noise(0))
    assert log_q is not None
    torch.testing.assert_close(q.log_prob(z), log_q)
    mode, log_mode = q.draw(2, None)
    assert log_mode is not None
    assert mode[1].equal(q.mode())
    torch.testing.assert_close(q.log_prob(mode), log_mode)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_dimension_sees_only_those_before_it_and_the_context(is_reversed: bool) -> None:
    torch.manual_seed(0)
    step = AutoregressiveStep(DIMS, HIDDEN, is_reversed=is_reversed)
    z, context = torch.randn(DIMS), torch.randn(HIDDEN)

    def outputs(z: Tensor, context: Tensor) -> Tensor:
        return torch.stack(step.parameters_of(z, context))

    by_latent, by_context = torch.autograd.functional.jacobian(outputs, (z, context))
    for seen in by_latent.flip(1, 2) if is_reversed else by_latent:
        assert seen.triu().eq(0).all()
        assert seen.tril(-1).ne(0).sum() == DIMS * (DIMS - 1) / 2
    assert by_context.ne(0).any(-1).all(), "the context reaches all dimensions"


def test_the_density_integrates_to_one() -> None:
    """Two dimensions, on a grid that is far larger than the distribution."""
    q = posterior(items=1, dims=2)
    z = q.rsample(10_000, Noise(0)).detach()
    low, high = z[:, 0].amin(0) - 1, z[:, 0].amax(0) + 1
    lines = [
        torch.linspace(float(a), float(b), 800).double() for a, b in zip(low, high, strict=True)
    ]
    cell = math.prod(float(line[1] - line[0]) for line in lines)
    points = torch.cartesian_prod(*lines)[:, None]
    assert float(q.log_prob(points).exp().sum().detach()) * cell == pytest.approx(1, abs=0.01)


def test_the_kl_is_estimated_by_the_samples_of_the_pass() -> None:
    q, prior = posterior(), StandardNormal(DIMS).double()()
    level = Level.draw(q, prior, 3, Noise(0))
    assert level.log_q is not None
    torch.testing.assert_close(level.kl(), (level.log_q - prior.log_prob(level.z)).mean(0))
    torch.testing.assert_close(level.kl(), -level.log_ratio().mean(0))
    assert level.kl_by_group().shape == (4, 1)
    assert level.kl_by_dim() is None


def test_a_copy_has_a_flow_of_its_own() -> None:
    q = posterior()
    copied = q.to(torch.device("cpu"))
    assert copied.flow is not q.flow
    assert isinstance(copied.flow, AutoregressiveFlow)
    assert not copied.rsample(2, Noise(0)).requires_grad, "it can be sampled and fitted to"
    torch.testing.assert_close(copied.rsample(2, Noise(0)), q.rsample(2, Noise(0)))


def test_a_pass_uses_the_density_that_came_with_the_samples_and_inverts_no_flow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    q = posterior()
    level = Level.draw(q, StandardNormal(DIMS)(), 5, Noise(0))
    expected = (q.log_prob(level.z) - level.prior.log_prob(level.z)).mean(0)
    monkeypatch.setattr(FlowPosterior, "log_prob", None)
    torch.testing.assert_close(level.kl(), expected)
    torch.testing.assert_close(-level.log_ratio().mean(0), expected)
