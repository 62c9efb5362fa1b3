"""The distributions and the network against closed forms, Monte Carlo and torch."""

import math

import pytest
import torch
from torch import Generator

from vae_cli.model import (
    VAE,
    DiagonalNormal,
    HalfVarianceNormal,
    MLPDecoder,
    MLPEncoder,
    StandardNormal,
)

SHAPE = (3, 8, 6)


def network(latent_dim: int = 5) -> VAE:
    torch.manual_seed(0)
    hidden = (17, 11)
    return VAE(
        MLPEncoder(SHAPE, hidden, latent_dim), MLPDecoder(SHAPE, hidden, latent_dim), latent_dim
    )


def normal(seed: int = 0, shape: tuple[int, ...] = (4, 3)) -> DiagonalNormal:
    generator = Generator().manual_seed(seed)
    mean, log_variance = torch.randn(2, *shape, generator=generator)
    return DiagonalNormal(mean, log_variance)


def test_kl_agrees_with_monte_carlo() -> None:
    q = normal()
    many = DiagonalNormal(q.mean.expand(200_000, 4, 3), q.log_variance.expand(200_000, 4, 3))
    z = many.rsample(Generator().manual_seed(1))
    prior = StandardNormal(3, torch.device("cpu"))
    estimate = (many.log_prob(z) - prior.log_prob(z)).mean(0)
    torch.testing.assert_close(prior.kl_from(q).sum(-1), estimate, rtol=0.02, atol=0.01)


def test_kl_is_zero_only_for_the_prior_itself() -> None:
    zero = torch.zeros(2, 3)
    assert DiagonalNormal(zero, zero).kl_to_standard().eq(0).all()
    assert (normal().kl_to_standard() > 0).all()


def test_log_prob_agrees_with_torch() -> None:
    q, value = normal(), torch.linspace(-2, 2, 12).view(4, 3)
    expected = torch.distributions.Normal(q.mean, q.scale).log_prob(value).sum(-1)
    torch.testing.assert_close(q.log_prob(value), expected)


def test_scale_is_a_standard_deviation_and_log_variance_is_not() -> None:
    q = DiagonalNormal(torch.zeros(100_000, 1), torch.full((100_000, 1), math.log(9.0)))
    drawn = q.rsample(Generator().manual_seed(0))
    assert q.scale[0, 0] == pytest.approx(3.0)
    assert drawn.std() == pytest.approx(3.0, rel=0.01)


def test_draws_are_decided_by_the_generator_alone() -> None:
    q = normal()
    first, again = (q.rsample(Generator().manual_seed(7)) for _ in range(2))
    assert first.equal(again)
    assert not first.equal(q.rsample(Generator().manual_seed(8)))


def test_gradients_flow_through_a_draw() -> None:
    mean, log_variance = (
        torch.zeros(2, 3, requires_grad=True),
        torch.zeros(2, 3, requires_grad=True),
    )
    DiagonalNormal(mean, log_variance).rsample(Generator().manual_seed(0)).sum().backward()
    noise = DiagonalNormal(mean, log_variance).rsample(Generator().manual_seed(0)).detach()
    torch.testing.assert_close(mean.grad, torch.ones(2, 3))
    torch.testing.assert_close(log_variance.grad, noise / 2)


def test_distortion_is_a_log_likelihood_up_to_a_constant() -> None:
    generator = Generator().manual_seed(0)
    x, mean = torch.rand(2, 4, *SHAPE, generator=generator)
    likelihood = HalfVarianceNormal(mean)
    expected = torch.distributions.Normal(mean, math.sqrt(0.5)).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(x), expected)
    constant = likelihood.log_prob(x) + likelihood.distortion(x)
    torch.testing.assert_close(constant, constant[0].expand(4))


def test_shapes_and_ranges_are_the_documented_ones() -> None:
    x = torch.rand(4, *SHAPE)
    inference = network()(x, Generator().manual_seed(0))
    assert inference.posterior.mean.shape == inference.posterior.log_variance.shape == (4, 5)
    assert inference.z.shape == (4, 5)
    assert inference.likelihood.mean.shape == x.shape
    assert ((inference.likelihood.mean > 0) & (inference.likelihood.mean < 1)).all()
    assert network().prior().sample(6, Generator().manual_seed(0)).shape == (6, 5)


def test_every_parameter_gets_a_gradient() -> None:
    model, x = network(), torch.rand(4, *SHAPE)
    inference = model(x, Generator().manual_seed(0))
    loss = inference.likelihood.distortion(x).sum() + inference.posterior.kl_to_standard().sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_an_image_is_inferred_alone_whatever_else_is_in_its_batch() -> None:
    model, x = network(), torch.rand(4, *SHAPE)
    torch.testing.assert_close(model.posterior(x).mean[2:3], model.posterior(x[2:3]).mean)
