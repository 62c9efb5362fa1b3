"""The whole model for rows of a table."""

import math

import pytest
import torch
from models import spec_of, take_step
from torch import Generator, Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge
from vae_cli.training import TrainState

CPU = torch.device("cpu")


def state_for(rows: Tensor, hidden: int) -> TrainState:
    """An untrained model that knows the mean and standard deviation of the columns."""
    standard = {"name": "columns", "normalization": "standard"}
    tables = {
        "model": {"hidden": [hidden], "latent_dim": 2},
        "objective": {"beta": 1.0},
        "likelihood": standard,
    }
    spec = spec_of(rows.shape[1:])
    plan = choose(merge(("", tables)), spec)
    codec = plan.likelihood.build_codec(spec, InMemory.whole(rows.double()))
    return plan.build_state(spec, CPU, codec)


def test_other_units_of_the_columns_change_only_the_units_of_the_output() -> None:
    x = torch.randn(50, 3, generator=Generator().manual_seed(0))
    unit, shift = torch.tensor([1000.0, 0.01, 1.0]), torch.tensor([5.0, -3.0, 0.0])

    def mean_and_distortion(rows: Tensor) -> tuple[Tensor, Tensor]:
        model = state_for(rows, hidden=8).model
        standardized = model.codec.encode(rows)
        likelihood = model(Batch(standardized), noise=Noise(0)).likelihood
        return model.codec.decode(likelihood.mean).float(), likelihood.distortion(standardized)

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
    state, steps = state_for(rows, hidden=16), 1500
    for step in range(steps):
        batch = state.model.codec.encode(rows[torch.randint(0, 4000, (128,))])
        take_step(state, batch, 5e-3 * (1 - step / steps))
    with torch.no_grad():
        standardized = state.model.codec.encode(rows)
        inference = state.model(Batch(standardized), noise=Noise(0))
        elbo = inference.likelihood.log_prob(standardized)[0] - inference.kl()
    assert -elbo.mean() == pytest.approx(float(entropy), abs=0.08)
    assert -elbo.mean() > float(entropy) - 0.05
