"""The equation of a flow, and its loss, where both are known."""

import math

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.latent.flow_matching import FittedFlow
from vae_cli.model import DiagonalNormal
from vae_cli.noise import Noise


def test_a_flow_without_a_step_is_the_normal_distribution_of_the_latents() -> None:
    generator = Generator().manual_seed(0)
    factor, count = torch.tensor([[2.0, 0.0], [-1.0, 0.5]]), 4000
    means = torch.tensor([5.0, -3.0]) + torch.randn(count, 2, generator=generator) @ factor.T
    posterior = DiagonalNormal(means, torch.tensor([0.0, -2.0]).expand(count, 2))
    flow = FittedFlow(2).whiten(posterior)
    samples = flow.sample(50_000, Noise(1))
    covariance = factor @ factor.T + torch.tensor([1.0, math.exp(-2)]).diag()
    torch.testing.assert_close(samples.mean(0), torch.tensor([5.0, -3.0]), atol=0.15, rtol=0)
    torch.testing.assert_close(samples.T.cov(), covariance, atol=0.25, rtol=0)
    loss = flow.loss(posterior.rsample(1, Noise(2))[0], Noise(3))
    assert loss.item() == pytest.approx(1, abs=0.05)


MEAN, SCALE = 1.5, 0.2


def exact_velocity(z: Tensor, angle: Tensor) -> Tensor:
    """E[cos θ · z − sin θ · ε | z(θ)] if the latents are N(MEAN, SCALE²)."""
    cos, sin = angle.cos(), angle.sin()
    variance = cos**2 + SCALE**2 * sin**2
    return cos * MEAN + (SCALE**2 - 1) * sin * cos / variance * (z - sin * MEAN)


def test_the_exact_velocity_carries_noise_to_the_latents_and_has_the_lowest_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow, epsilon = FittedFlow(3), torch.randn(100, 3, generator=Generator().manual_seed(0))
    z = MEAN + SCALE * torch.randn(20_000, 3, generator=Generator().manual_seed(1))
    losses = []
    for error in (0.0, 0.1, -0.1):
        monkeypatch.setattr(
            flow.velocity, "forward", lambda z, angle, error=error: exact_velocity(z, angle) + error
        )
        losses.append(flow.loss(z, Noise(2)).item())
        if not error:
            expected = MEAN + SCALE * epsilon
            torch.testing.assert_close(flow.from_noise(epsilon), expected, atol=0.03, rtol=0)
    # E Var(cos θ · z − sin θ · ε | z(θ)) = E σ² / (cos² θ + σ² sin² θ) over the angles, which is σ
    assert losses[0] == pytest.approx(SCALE, abs=0.01)
    assert min(losses[1:]) > losses[0] + 0.005
