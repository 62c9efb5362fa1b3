"""The prior against sampling and torch."""

import torch
from torch import Generator

from vae_cli.model import DiagonalNormal, StandardNormal

PRIOR = StandardNormal(3, torch.device("cpu"))


def test_kl_to_the_prior_agrees_with_an_estimate_from_samples() -> None:
    mean, log_variance = torch.randn(2, 4, 3, generator=Generator().manual_seed(0))
    posterior = DiagonalNormal(mean, log_variance)
    many = DiagonalNormal(mean.expand(200_000, 4, 3), log_variance.expand(200_000, 4, 3))
    z = many.rsample(Generator().manual_seed(1))
    estimate = (many.log_prob(z) - PRIOR.log_prob(z)).mean(0)
    torch.testing.assert_close(PRIOR.kl_from(posterior).sum(-1), estimate, rtol=0.02, atol=0.01)


def test_log_prob_agrees_with_torch() -> None:
    z = torch.linspace(-2, 2, 12).view(4, 3)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(PRIOR.log_prob(z), expected)


def test_samples_are_standard_normal() -> None:
    samples = PRIOR.sample(100_000, Generator().manual_seed(0))
    assert samples.shape == (100_000, 3)
    torch.testing.assert_close(samples.mean(0), torch.zeros(3), rtol=0, atol=0.02)
    torch.testing.assert_close(samples.T.cov(), torch.eye(3), rtol=0, atol=0.02)
