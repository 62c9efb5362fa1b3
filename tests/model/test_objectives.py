"""The objective: sums over an item, means over a batch, an unweighted KL, and a true bound."""

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.model import (
    VAE,
    DiagonalNormal,
    HalfVarianceNormal,
    Inference,
    MLPDecoder,
    MLPEncoder,
    NegativeELBO,
    StandardNormal,
)

SHAPE = (1, 5, 4)


def images(count: int) -> Tensor:
    return torch.rand(count, *SHAPE, generator=Generator().manual_seed(0))


def inference(x: Tensor) -> Inference:
    """An inference without noise, so that an image has the same loss in every batch."""
    torch.manual_seed(0)
    model = VAE(MLPEncoder(SHAPE, (9,), 3), MLPDecoder(SHAPE, (9,), 3), 3)
    posterior = model.posterior(x)
    return Inference(posterior, posterior.mean, model.prior(), model.likelihood(posterior.mean))


def test_the_loss_of_an_image_does_not_depend_on_the_batch_size() -> None:
    x = images(1)
    many = x.repeat(64, 1, 1, 1)
    alone, together = NegativeELBO()(x, inference(x)), NegativeELBO()(many, inference(many))
    torch.testing.assert_close(alone.loss, together.loss)


@pytest.mark.parametrize("batch_size", [1, 7, 128])
def test_both_terms_are_summed_over_an_image_and_averaged_over_the_batch(batch_size: int) -> None:
    x = images(batch_size)
    inferred = inference(x)
    loss = NegativeELBO(beta=3.0)(x, inferred)
    squared_error = ((x - inferred.likelihood.mean) ** 2).sum((1, 2, 3))
    kl = inferred.posterior.kl_to_standard().sum(1)
    torch.testing.assert_close(loss.loss, (squared_error + 3.0 * kl).mean())


def test_beta_weights_the_kl_in_the_loss_but_not_the_reported_kl() -> None:
    x = images(4)
    losses = [NegativeELBO(beta)(x, inference(x)) for beta in (0.0, 1.0, 10.0)]
    for loss in losses:
        torch.testing.assert_close(loss.kl, losses[0].kl)
        torch.testing.assert_close(loss.distortion, losses[0].distortion)
    difference = losses[2].loss - losses[0].loss
    torch.testing.assert_close(difference, 10 * losses[0].kl.sum(1).mean())


def test_the_elbo_is_a_lower_bound_and_tight_at_the_true_posterior() -> None:
    """p(z) = N(0, 1), p(x|z) = N(z, 1/2): then p(x) = N(0, 3/2) and p(z|x) = N(2x/3, 1/3)."""
    x = torch.tensor(0.8).view(1, 1, 1, 1)
    evidence = torch.distributions.Normal(0.0, 1.5**0.5).log_prob(x).item()

    def elbo(mean: float, variance: float) -> float:
        count = 400_000
        log_variance = torch.tensor(variance).log()
        posterior = DiagonalNormal(
            torch.full((count, 1), mean), torch.full((count, 1), float(log_variance))
        )
        z = posterior.rsample(Generator().manual_seed(0))
        likelihood = HalfVarianceNormal(z.view(-1, 1, 1, 1))
        prior = StandardNormal(1, torch.device("cpu"))
        batch = x.expand(count, 1, 1, 1)
        loss = NegativeELBO()(batch, Inference(posterior, z, prior, likelihood)).loss
        constant = (likelihood.log_prob(batch) + likelihood.distortion(batch)).mean()
        return (constant - loss).item()

    assert elbo(2 * 0.8 / 3, 1 / 3) == pytest.approx(evidence, abs=2e-3)
    assert elbo(0.8, 1 / 3) < evidence - 0.05
    assert elbo(2 * 0.8 / 3, 1.0) < evidence - 0.05
