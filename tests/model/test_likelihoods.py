"""The likelihoods of images and of rows against torch."""

import math

import torch
from torch import Generator
from torch.distributions import Normal

from vae_cli.model import ColumnNormal, HalfVarianceNormal, Likelihood


def column_normal() -> ColumnNormal:
    torch.manual_seed(0)
    return ColumnNormal(torch.randn(6, 4), torch.randn(4), torch.ones(4))


def assert_distortion_differs_by_a_constant(likelihood: Likelihood, x: torch.Tensor) -> None:
    """The distortion is the negative log-likelihood up to one number, the same for all items."""
    constant = likelihood.log_prob(x) + likelihood.distortion(x)
    torch.testing.assert_close(constant, constant[:1].expand(len(x)))


def test_the_likelihood_of_images_is_a_normal_distribution_with_variance_one_half() -> None:
    x, mean = torch.rand(2, 4, 3, 8, 6, generator=Generator().manual_seed(0))
    likelihood = HalfVarianceNormal(mean)
    expected = Normal(mean, math.sqrt(0.5)).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(x), expected)
    assert_distortion_differs_by_a_constant(likelihood, x)


def test_samples_of_an_image_have_its_mean_and_variance_one_half() -> None:
    likelihood = HalfVarianceNormal(torch.rand(2, 1, 3, 3, generator=Generator().manual_seed(0)))
    generator = Generator().manual_seed(0)
    samples = torch.stack([likelihood.sample(generator) for _ in range(4000)])
    torch.testing.assert_close(samples.mean(0), likelihood.mean, rtol=0, atol=0.06)
    torch.testing.assert_close(samples.var(0), torch.full((2, 1, 3, 3), 0.5), rtol=0.1, atol=0)


def test_the_likelihood_of_rows_is_a_normal_distribution_with_a_variance_per_column() -> None:
    likelihood, x = column_normal(), torch.randn(6, 4)
    scale = (0.5 * likelihood.log_variance).exp()
    expected = Normal(likelihood.mean, scale).log_prob(x).sum(1)
    torch.testing.assert_close(likelihood.log_prob(x), expected)
    assert_distortion_differs_by_a_constant(likelihood, x)


def test_samples_of_a_row_have_the_mean_and_deviation_of_the_likelihood() -> None:
    likelihood = column_normal()
    generator = Generator().manual_seed(0)
    samples = torch.stack([likelihood.sample(generator) for _ in range(4000)])
    scale = (0.5 * likelihood.log_variance).exp()
    torch.testing.assert_close(samples.mean(0), likelihood.mean, rtol=0, atol=0.25)
    torch.testing.assert_close(samples.std(0), scale.expand(6, 4), rtol=0.06, atol=0)
