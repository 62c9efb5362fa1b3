"""The mixture that is fitted to latents."""

import pytest
import torch
from torch import Generator

from vae_cli.latent.mixture import FittedMixture, fit_mixture
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
    z = torch.randn(10, 2)
    found = mixture.log_joint(z).logsumexp(1)
    torch.testing.assert_close(found, expected.log_prob(z), rtol=1e-4, atol=1e-4)


def test_the_fit_is_better_than_one_normal_distribution() -> None:
    points = two_clouds(1000)
    one, two = (
        fit_mixture(points, seed=0, components=k).log_joint(points).logsumexp(1).mean()
        for k in (1, 2)
    )
    assert two - one > 0.5


@pytest.mark.parametrize("points", [torch.zeros(50, 3), torch.randn(2, 3), torch.randn(7, 20)])
def test_few_or_equal_points_are_no_failure(points: torch.Tensor) -> None:
    mixture = fit_mixture(points, seed=0)
    assert isinstance(mixture, FittedMixture)
    assert mixture.sample(4, Noise(0)).isfinite().all()
