"""Normal posteriors with a full covariance against torch.distributions."""

import torch
from torch import Generator
from torch.distributions import MultivariateNormal, kl_divergence

from vae_cli.model import DiagonalNormal, FullNormal, FullNormalHead, NormalHead, UnitNormal, kl
from vae_cli.model.posterior import kl_by_dim
from vae_cli.noise import Noise


def posterior(dims: int = 4, items: int = 3) -> FullNormal:
    head = FullNormalHead(dims)
    parameters = torch.randn(items, head.outputs, generator=Generator().manual_seed(0))
    parameters[:, 2 * dims :] *= dims  # covariances of about 1
    made: FullNormal = head(parameters)
    return made


def test_the_log_density_and_the_kl_are_those_of_torch() -> None:
    q = posterior()
    reference = MultivariateNormal(q.mean, scale_tril=q.scale_tril)
    z = torch.randn(7, 3, 4, generator=Generator().manual_seed(1))
    torch.testing.assert_close(q.log_prob(z), reference.log_prob(z))
    standard = MultivariateNormal(torch.zeros(4), torch.eye(4))
    expected = kl_divergence(reference, standard)
    torch.testing.assert_close(kl(q, UnitNormal(torch.zeros(4)), z), expected)
    other = DiagonalNormal(*torch.randn(2, 3, 4, generator=Generator().manual_seed(2)))
    given = MultivariateNormal(other.mean, torch.diag_embed(other.log_variance.exp()))
    torch.testing.assert_close(kl(q, other, z), kl_divergence(reference, given))


def test_samples_have_the_mean_and_the_covariance() -> None:
    q = posterior(items=1)
    z = q.rsample(200_000, Noise(0))[:, 0]
    torch.testing.assert_close(z.mean(0), q.mean[0], rtol=0, atol=0.03)
    covariance = q.scale_tril[0] @ q.scale_tril[0].T
    torch.testing.assert_close(z.T.cov(), covariance, rtol=0.03, atol=0.03)
    variances = q.marginals().log_variance.exp()[0]
    torch.testing.assert_close(variances, covariance.diagonal())


def test_the_dimensions_by_themselves_tell_less_than_all_of_them() -> None:
    q, prior = posterior(), UnitNormal(torch.zeros(4))
    by_dim = kl_by_dim(q, prior)
    assert by_dim is not None
    assert by_dim.shape == (3, 4)
    assert (by_dim.sum(1) < kl(q, prior, q.mean[None])).all()


def test_without_values_below_the_diagonal_it_is_the_independent_one() -> None:
    head, normal = FullNormalHead(3, (-6.0, 2.0)), NormalHead(3, limits=(-6.0, 2.0))
    parameters = 9 * torch.randn(5, head.outputs, generator=Generator().manual_seed(0))
    parameters[:, 6:] = 0
    q, expected = head(parameters), normal(parameters[:, :6])
    torch.testing.assert_close(q.rsample(2, Noise(0)), expected.rsample(2, Noise(0)))
    torch.testing.assert_close(q.features(), expected.features())


def test_the_distribution_of_some_items_is_theirs() -> None:
    q = posterior()
    z = torch.randn(7, 3, 4, generator=Generator().manual_seed(1))
    torch.testing.assert_close(q[1:].log_prob(z[:, 1:]), q.log_prob(z)[:, 1:])
