"""The networks for rows of a table."""

import math

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.model import VAE, ColumnScaling, MLPEncoder, NegativeELBO, VectorDecoder
from vae_cli.training import Adam, TrainState, loss_and_gradients


def vector_vae(rows: Tensor, hidden: int, latent_dim: int = 2) -> VAE:
    """An untrained model that knows the mean and standard deviation of the columns."""
    torch.manual_seed(0)
    mean, std = rows.mean(0), rows.std(0, correction=0)
    return VAE(
        MLPEncoder(rows.shape[1:], (hidden,), latent_dim),
        VectorDecoder(std > 0, (hidden,), latent_dim),
        latent_dim,
        ColumnScaling(mean, std),
    )


def test_other_units_of_the_columns_change_only_the_units_of_the_output() -> None:
    x = torch.randn(50, 3, generator=Generator().manual_seed(0))
    unit, shift = torch.tensor([1000.0, 0.01, 1.0]), torch.tensor([5.0, -3.0, 0.0])

    def mean_and_distortion(rows: Tensor) -> tuple[Tensor, Tensor]:
        model = vector_vae(rows, hidden=8)
        standardized = model.standardize(rows)
        likelihood = model(standardized, Generator().manual_seed(0)).likelihood
        return model.restore(likelihood.mean), likelihood.distortion(standardized)

    mean, distortion = mean_and_distortion(x)
    other_mean, other_distortion = mean_and_distortion(x * unit + shift)
    expected = (other_mean - shift) / unit
    torch.testing.assert_close(expected, mean, rtol=0, atol=1e-3)
    torch.testing.assert_close(other_distortion, distortion, rtol=1e-3, atol=1e-3)


def test_the_elbo_of_a_linear_gaussian_comes_near_the_entropy_of_the_data() -> None:
    """One factor behind five columns, whose log-likelihood is known."""
    torch.manual_seed(0)
    loading, noise = torch.tensor([1.0, 0.8, 0.6, -0.9, 0.5]), 0.3
    rows = torch.randn(4000, 1) * loading + noise * torch.randn(4000, 5)
    covariance = torch.outer(loading, loading) + noise**2 * torch.eye(5)
    entropy = 0.5 * torch.logdet(2 * math.pi * math.e * covariance)
    entropy = entropy - rows.std(0, correction=0).log().sum()  # of standardized columns
    model, steps = vector_vae(rows, hidden=16), 1500
    state = TrainState(model, Adam(dict(model.named_parameters())), Generator().manual_seed(0))
    for step in range(steps):
        batch = model.standardize(rows[torch.randint(0, 4000, (128,))])
        loss, gradients = loss_and_gradients(state, NegativeELBO(), batch)
        state.optimizer.step(gradients, 5e-3 * (1 - step / steps), loss.loss)
    with torch.no_grad():
        standardized = model.standardize(rows)
        inference = model(standardized, Generator().manual_seed(0))
    elbo = inference.likelihood.log_prob(standardized) - inference.posterior.kl_to_standard().sum(1)
    assert -elbo.mean() == pytest.approx(float(entropy), abs=0.08)
    assert -elbo.mean() > float(entropy) - 0.05
