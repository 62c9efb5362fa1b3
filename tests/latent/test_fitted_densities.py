"""The mixture and the flow that are fitted to latents."""

import pytest
import torch
from torch import Generator

from vae_cli.latent import fitted_densities
from vae_cli.latent.fitted_densities import FittedFlow, FittedMixture, fit_flow, fit_mixture
from vae_cli.noise import Noise


def two_clouds(count: int) -> torch.Tensor:
    """Three quarters around (-5, 0) with correlated values, and one quarter around (5, 5)."""
    generator = Generator().manual_seed(0)
    noise = torch.randn(count, 2, generator=generator)
    left = torch.tensor([-5.0, 0.0]) + noise @ torch.tensor([[1.0, 0.9], [0.0, 0.5]])
    right = torch.tensor([5.0, 5.0]) + 0.1 * noise
    return torch.where(torch.rand(count, 1, generator=generator) < 0.75, left, right)


def test_the_parameters_of_two_clouds_are_found() -> None:
    mixture = fit_mixture(two_clouds(4000), seed=0, components=2)
    order = mixture.means[:, 0].argsort()
    torch.testing.assert_close(
        mixture.weights[order], torch.tensor([0.75, 0.25]), atol=0.02, rtol=0
    )
    expected = torch.tensor([[-5.0, 0.0], [5.0, 5.0]])
    torch.testing.assert_close(mixture.means[order], expected, atol=0.06, rtol=0)
    scale = mixture.scale_tril[order[0]]
    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.06]])
    torch.testing.assert_close(scale @ scale.T, covariance, atol=0.06, rtol=0)


def test_samples_have_the_moments_of_the_points() -> None:
    points = two_clouds(4000)
    samples = fit_mixture(points, seed=0).sample(20_000, Noise(1))
    torch.testing.assert_close(samples.mean(0), points.mean(0), atol=0.2, rtol=0)
    torch.testing.assert_close(samples.T.cov(), points.T.cov(), atol=0.9, rtol=0)


def test_the_density_is_that_of_torch() -> None:
    mixture = fit_mixture(two_clouds(400), seed=0, components=3)
    expected = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(mixture.weights),
        torch.distributions.MultivariateNormal(mixture.means, scale_tril=mixture.scale_tril),
    )
    z = torch.randn(2, 5, 2)
    torch.testing.assert_close(mixture.log_prob(z), expected.log_prob(z), rtol=1e-4, atol=1e-4)


def test_the_fit_is_better_than_one_normal_distribution() -> None:
    points = two_clouds(1000)
    one, two = (fit_mixture(points, seed=0, components=k).log_prob(points).mean() for k in (1, 2))
    assert two - one > 0.5


@pytest.mark.parametrize("points", [torch.zeros(50, 3), torch.randn(2, 3), torch.randn(7, 20)])
def test_few_or_equal_points_are_no_failure(points: torch.Tensor) -> None:
    mixture = fit_mixture(points, seed=0)
    assert isinstance(mixture, FittedMixture)
    assert mixture.sample(4, Noise(0)).isfinite().all()


def bent(count: int, seed: int = 0) -> torch.Tensor:
    """Points along a parabola, which no normal distribution follows, far from 0."""
    x, noise = torch.randn(2, count, generator=Generator().manual_seed(seed))
    return torch.stack([100 + 10 * x, x**2 + 0.2 * noise], 1)


def test_the_fit_is_better_than_a_normal_distribution_on_other_points(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitted_densities, "STEPS", 200)
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
