"""The flow that is fitted to latents."""

import pytest
import torch
from torch import Generator

from vae_cli.latent import samplers
from vae_cli.latent.samplers import FittedFlow, fit_flow
from vae_cli.noise import Noise


def bent(count: int, seed: int = 0) -> torch.Tensor:
    """Points along a parabola, which no normal distribution follows, far from 0."""
    x, noise = torch.randn(2, count, generator=Generator().manual_seed(seed))
    return torch.stack([100 + 10 * x, x**2 + 0.2 * noise], 1)


def test_the_fit_is_better_than_a_normal_distribution_on_other_points(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samplers, "STEPS", 200)
    points, others = bent(2000), bent(500, seed=1)
    fitted = fit_flow(points, seed=0)
    normal = torch.distributions.MultivariateNormal(points.mean(0), points.T.cov())
    assert fitted.log_prob(others).mean() > normal.log_prob(others).mean() + 0.5
    samples = fitted.sample(2000, Noise(2))
    torch.testing.assert_close(samples.mean(0), points.mean(0), rtol=0.02, atol=0.2)
    assert torch.equal(fitted.log_prob(others), fit_flow(points, seed=0).log_prob(others))


def test_the_density_has_an_integral_of_one() -> None:
    generator = Generator().manual_seed(0)
    fitted = FittedFlow(2)
    with torch.no_grad():
        for parameter in fitted.parameters():
            parameter.normal_(std=0.2, generator=generator)
        fitted.scale.copy_(torch.tensor([0.5, 2.0]))
        edge = torch.linspace(-12, 12, 600)
        density = fitted.log_prob(torch.cartesian_prod(edge, edge)).exp()
    assert density.sum().item() * (edge[1] - edge[0]).item() ** 2 == pytest.approx(1, abs=0.02)
