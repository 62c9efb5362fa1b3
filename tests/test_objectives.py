"""The loss: one reduction, the unweighted KL, and a true bound."""

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
    StandardNormal,
)
from vae_cli.objectives import ELBO

SHAPE = (1, 5, 4)


def images(count: int) -> Tensor:
    return torch.rand(count, *SHAPE, generator=Generator().manual_seed(0))


def inference(x: Tensor) -> Inference:
    """An inference without noise, so that an image costs the same in every batch."""
    torch.manual_seed(0)
    model = VAE(MLPEncoder(SHAPE, (9,), 3), MLPDecoder(SHAPE, (9,), 3), 3)
    posterior = model.posterior(x)
    return Inference(posterior, posterior.mean, model.prior(), model.likelihood(posterior.mean))


def test_the_loss_of_an_image_does_not_depend_on_the_size_of_its_batch() -> None:
    x = images(1)
    once, many = (
        ELBO()(x, inference(x)),
        ELBO()(x.repeat(64, 1, 1, 1), inference(x.repeat(64, 1, 1, 1))),
    )
    torch.testing.assert_close(once.loss, many.loss)


@pytest.mark.parametrize("batch", [1, 7, 128])
def test_both_terms_have_one_reduction(batch: int) -> None:
    x = images(batch)
    found = inference(x)
    loss = ELBO(beta=3.0)(x, found)
    error = ((x - found.likelihood.mean) ** 2).sum((1, 2, 3))
    kl = found.posterior.kl_to_standard().sum(1)
    torch.testing.assert_close(loss.loss, (error + 3.0 * kl).mean())


def test_the_reported_kl_is_unweighted_whatever_beta_is() -> None:
    x = images(4)
    costs = [ELBO(beta)(x, inference(x)) for beta in (0.0, 1.0, 10.0)]
    for cost in costs:
        torch.testing.assert_close(cost.kl, costs[0].kl)
        torch.testing.assert_close(cost.distortion, costs[0].distortion)
    gap = costs[2].loss - costs[0].loss
    torch.testing.assert_close(gap, 10 * costs[0].kl.sum(1).mean())


def test_the_elbo_is_a_lower_bound_and_tight_at_the_true_posterior() -> None:
    """p(z) = N(0, 1), p(x|z) = N(z, 1/2): then p(x) = N(0, 3/2) and p(z|x) = N(2x/3, 1/3)."""
    x = torch.tensor(0.8).view(1, 1, 1, 1)
    evidence = torch.distributions.Normal(0.0, 1.5**0.5).log_prob(x).item()

    def elbo(mean: float, variance: float) -> float:
        many = torch.ones(400_000, 1)
        posterior = DiagonalNormal(
            mean * many, variance * many.log() + many * torch.tensor(variance).log()
        )
        z = posterior.rsample(Generator().manual_seed(0))
        likelihood = HalfVarianceNormal(z.view(-1, 1, 1, 1))
        prior = StandardNormal(1, torch.device("cpu"))
        batch = x.expand(400_000, 1, 1, 1)
        loss = ELBO()(batch, Inference(posterior, z, prior, likelihood)).loss
        constant = (likelihood.log_prob(batch) + likelihood.distortion(batch)).mean()
        return (constant - loss).item()

    assert elbo(2 * 0.8 / 3, 1 / 3) == pytest.approx(evidence, abs=2e-3)
    assert elbo(0.8, 1 / 3) < evidence - 0.05
    assert elbo(2 * 0.8 / 3, 1.0) < evidence - 0.05
