"""Imputation against models whose conditional distributions are known."""

import math

import pytest
import torch
from linear_gaussian import NOISE_VARIANCE, LinearGaussian
from torch import Tensor, nn

from vae_cli.data.columns import number_columns
from vae_cli.latent.imputation import complete, impute, measure_column, weighted_quantile
from vae_cli.model import VAE, DiagonalNormal, StandardNormal, TableLikelihood
from vae_cli.model.table_codec import RowLayout, unfitted_codec
from vae_cli.noise import Noise

MANY = 8000


class ExactEncoder(nn.Module):
    """The posterior of complete rows; a value that is missing counts as 0, so it is a bad guess."""

    def __init__(self, exact: LinearGaussian) -> None:
        super().__init__()
        self.exact = exact

    def forward(self, x: Tensor) -> DiagonalNormal:
        precision = 1 + (self.exact.weight**2).sum(0) / NOISE_VARIANCE
        values = x[:, : len(self.exact.offset)].double()
        mean = (values - self.exact.offset) @ self.exact.weight / NOISE_VARIANCE / precision
        return DiagonalNormal(mean.float(), -precision.log().expand_as(mean).float())


def linear_model(exact: LinearGaussian, *, has_indicators: bool) -> VAE:
    """A model whose columns are those of a linear Gaussian one."""
    pixels, dims = exact.weight.shape
    columns = number_columns(*(f"x{place}" for place in range(pixels)))
    codec = unfitted_codec(RowLayout(columns, has_indicators), "standard")
    likelihood, decoder = TableLikelihood(codec), nn.Linear(dims, pixels)
    with torch.no_grad():
        likelihood.log_variance.fill_(math.log(NOISE_VARIANCE))
        decoder.weight.copy_(exact.weight)
        decoder.bias.copy_(exact.offset)
    return VAE(ExactEncoder(exact), decoder, likelihood, StandardNormal(dims), codec).eval()


def conditional(exact: LinearGaussian, row: Tensor) -> torch.distributions.MultivariateNormal:
    """p(x_m | x_o) of a row with NaN in place of x_m."""
    noise = NOISE_VARIANCE * torch.eye(len(exact.offset), dtype=torch.float64)
    covariance = exact.weight @ exact.weight.T + noise
    hole, known = row.isnan(), ~row.isnan()
    gain = covariance[hole][:, known] @ covariance[known][:, known].inverse()
    mean = exact.offset[hole] + gain @ (row[known] - exact.offset[known])
    left = covariance[hole][:, hole] - gain @ covariance[known][:, hole]
    return torch.distributions.MultivariateNormal(mean, left)


def with_holes(exact: LinearGaussian) -> Tensor:
    rows = exact.items(4).flatten(1)
    for row, places in zip(rows, ([0], [1, 2], [0, 3, 5], [0, 1, 2, 3, 4]), strict=True):
        row[places] = torch.nan
    return rows


@pytest.mark.parametrize("has_indicators", [False, True])
def test_holes_have_the_known_distribution(has_indicators: bool) -> None:
    exact = LinearGaussian.make()
    model, rows = linear_model(exact, has_indicators=has_indicators), with_holes(exact)
    found = complete(model, rows, Noise(0), samples=MANY)
    filled, draws = found.summarize(Noise(1)), found.draw(4000, Noise(2))
    assert (found.effective_samples() > MANY / 8).all()
    assert found.log_weights.exp().sum(0).allclose(torch.ones(4), atol=1e-4)
    for number, row in enumerate(rows):
        truth, hole = conditional(exact, row), row.isnan()
        assert filled.rows[number, ~hole].equal(row[~hole])
        assert (filled.rows[number, hole] - truth.mean).abs().max() < 0.05
        assert (filled.deviation[number, hole] / truth.stddev - 1).abs().max() < 0.05
        low = truth.mean - 1.645 * truth.stddev
        assert (filled.low[number, hole] - low).abs().max() < 0.1
        drawn = draws[:, number, hole]
        assert (drawn.mean(0) - truth.mean).abs().max() < 0.1
        assert (drawn.T.cov() - truth.covariance_matrix).abs().max() < 0.1


def test_rounds_make_better_proposals() -> None:
    exact = LinearGaussian.make()
    model, rows = linear_model(exact, has_indicators=False), with_holes(exact)
    first, second = (
        complete(model, rows, Noise(0), rounds=rounds).effective_samples() for rounds in (1, 2)
    )
    assert second.min() > 1.3 * first.min()
    assert (second > 180).all(), "of 256"


def test_the_nll_of_a_column_is_the_known_one() -> None:
    exact = LinearGaussian.make()
    rows = exact.items(5).flatten(1)
    model, places = linear_model(exact, has_indicators=False), torch.tensor([0, 2, 5, 1, 3])
    found = measure_column(model, rows, places, Noise(0), samples=MANY)
    for row, place, nll, surprise, expected in zip(rows, places, *found, strict=True):
        hidden = row.clone()
        hidden[place] = torch.nan
        truth, value = conditional(exact, hidden), row[place].view(1)
        assert nll == pytest.approx(-truth.log_prob(value).item(), abs=0.03)
        assert expected == pytest.approx(truth.mean.item(), abs=0.05)
        excess = (nll - truth.entropy()).item()
        spread = (1 + 0.5) ** 0.5  # −log p of a normal variable has the variance 1/2
        assert surprise == pytest.approx(excess / spread, abs=0.6), "of 16 samples"


def test_rows_without_holes_stay_as_they_are() -> None:
    exact = LinearGaussian.make()
    model, rows = linear_model(exact, has_indicators=False), exact.items(9).flatten(1)
    rows[3, 2] = rows[7, 0] = torch.nan
    reports: list[tuple[int, int]] = []
    found = impute(model, rows, Noise(0), draws=3, progress=lambda *done: reports.append(done))
    assert found.places.tolist() == [3, 7]
    assert reports[-1] == (2, 2)
    for table in (found.rows, *found.tables()):
        assert not table.isnan().any()
        assert table[~found.holes].equal(rows[~found.holes])
    assert found.tables()[:, 3, 2].unique().numel() == 3
    again = impute(model, rows, Noise(0), draws=3)
    assert again.rows.equal(found.rows)
    complete_rows = impute(model, exact.items(2).flatten(1), Noise(0), draws=2)
    assert complete_rows.tables().shape == (2, 2, 6)


def test_quantiles_have_weights() -> None:
    values = torch.tensor([3.0, 1.0, 2.0])[:, None, None]
    weights = torch.tensor([0.5, 0.2, 0.3])[:, None, None]
    found = [weighted_quantile(values, weights, share).item() for share in (0.1, 0.4, 0.9)]
    assert found == [1.0, 2.0, 3.0]
