"""Rows through the codec: there and back, the distribution of scores, holes, distant values."""

import math

import pytest
import torch
from tables import COLUMNS, mixed_rows
from torch import Generator, Tensor

from vae_cli.data.columns import CellFormat, Column, Normalization, number_columns
from vae_cli.data.split import InMemory
from vae_cli.model import TableCodec
from vae_cli.model.normal_scores import NormalScores, fit_knots
from vae_cli.model.table_codec import MAX_FITTED, RowLayout, fit_codec

NAN = math.nan


def fitted(
    rows: Tensor, columns: tuple[Column, ...] = (), normalization: Normalization = "quantile"
) -> TableCodec:
    """The codec of some rows, whose columns are numbers if nothing else is said."""
    columns = columns or number_columns(*map(str, range(rows.shape[1])))
    layout = RowLayout(columns, has_indicators=True)
    return fit_codec(layout, InMemory.whole(rows), normalization)


def scores_of(values: Tensor, step: float) -> NormalScores:
    return NormalScores([fit_knots(values.double(), step)], [step])


def test_mixed_rows_with_holes_come_back_from_what_a_network_takes() -> None:
    rows = mixed_rows(3000, holes=0.2)
    codec = fitted(rows, COLUMNS)
    x = codec.encode(rows)
    assert x.shape == (3000, *codec.input_shape)
    assert x.dtype == torch.float32
    assert x.isfinite().all()
    back = codec.decode(x)
    torch.testing.assert_close(back, rows, equal_nan=True, rtol=1e-5, atol=1e-5)
    for place, column in enumerate(COLUMNS):
        if column.kind != "number" or column.format.decimals is not None:
            assert back[:, place].nan_to_num(-1).equal(rows[:, place].nan_to_num(-1)), column.name
    assert codec.decode(x.view(30, 100, -1)).shape == (30, 100, len(COLUMNS))
    values, one_hot, missing = codec.layout.split(x)
    holes = rows[:, codec.layout.learned].isnan()
    assert missing.bool().equal(holes)
    assert not values[holes[:, : values.shape[1]]].any(), "a missing value is 0"
    is_known = ~rows[:, codec.layout.categorical].isnan()
    assert one_hot.sum(1).equal(is_known.float().sum(1))


def test_values_that_are_missing_change_nothing_for_the_others() -> None:
    rows = mixed_rows(500, holes=0.3)
    known = rows[~rows[:, 0].isnan()]
    for codec in (fitted(rows, COLUMNS), fitted(rows, COLUMNS, "standard")):
        alone = fitted(
            known[:, :1], COLUMNS[:1], "standard" if codec.scores is None else "quantile"
        )
        assert codec.encode(rows)[:, 0][~rows[:, 0].isnan()].equal(alone.encode(known[:, :1])[:, 0])


SKEWED = torch.randn(20_000, generator=Generator().manual_seed(0)).exp().double()
ZEROS = torch.rand(20_000, generator=Generator().manual_seed(1)) < 0.6
HEAVY = torch.where(ZEROS, 0.0, SKEWED)
DISTRIBUTIONS = {
    "skewed": (SKEWED, 0.0),
    "many zeros": (HEAVY, 0.0),
    "whole": ((10 * SKEWED).round(), 1.0),
    "cents": ((100 * SKEWED).round() / 100, 0.01),
    "tens": (10 * (3 * SKEWED).floor().clamp(max=5), 1.0),
    "modes": (torch.where(ZEROS, SKEWED, SKEWED + 1000), 0.0),
}


def test_scores_are_standard_normal_and_normal_scores_have_the_distribution_of_the_column() -> None:
    normal = torch.randn(20_000, 1, generator=Generator().manual_seed(2))
    for name, (values, step) in DISTRIBUTIONS.items():
        maps = scores_of(values, step)
        drawn = maps.invert(normal)[:, 0]
        assert drawn.min() >= values.min(), name
        assert drawn.max() <= values.max(), name
        grid = torch.cat([values, drawn]).unique()
        found, expected = (
            torch.searchsorted(one.sort().values, grid, right=True) / len(one)
            for one in (drawn, values)
        )
        assert (found - expected).abs().max() < 0.015, name  # of Kolmogorov and Smirnov
        if step:
            torch.testing.assert_close(drawn, (drawn / step).round() * step, rtol=0, atol=1e-12)
        scores = maps(values[:, None])[:, 0]
        order = values.argsort()
        assert (scores[order].diff() >= 0).all(), name
        if name in {"skewed", "modes"}:
            assert abs(scores.mean()) < 0.01
            assert abs(scores.std() - 1) < 0.01
    zero = scores_of(HEAVY, 0.0).invert(normal)[:, 0] == 0
    assert abs(zero.double().mean() - ZEROS.double().mean()) < 0.01


@pytest.mark.parametrize("step", [0.0, 1.0, 0.1])
def test_a_score_beyond_the_training_set_grows_slowly_and_without_a_jump(step: float) -> None:
    values = torch.randn(5000, generator=Generator().manual_seed(0)).double() * 10
    values = (values / step).round() * step if step else values
    maps = scores_of(values, step)
    high, unit = maps.values[0, -1], 1e-6
    near = maps(torch.stack([high - 2 * unit, high - unit, high + unit, high + 2 * unit])[:, None])
    slopes = near[:, 0].diff() / torch.tensor([unit, 2 * unit, unit])
    torch.testing.assert_close(slopes, slopes[:1].expand(3), rtol=1e-3, atol=1e-6)
    far = torch.tensor([50.0, 100, 1e5, 1e10, 1e300, -1e300], dtype=torch.float64)[:, None]
    scores = maps(far)[:, 0]
    assert (scores[:5].diff() > 0).all()
    assert scores[2] < 20
    assert scores.abs().max() < 1000
    assert maps.invert(scores[:, None])[:4, 0].unique().item() == values.max()


def test_few_rows_equal_values_and_no_values_are_fitted_too() -> None:
    for values in ([], [3.0], [3.0] * 50, [1.0, 2.0], [0.1, 0.1, 0.2]):
        for step in (0.0, 1.0):
            observed = torch.tensor(values, dtype=torch.float64)
            observed = observed.round() if step else observed
            maps = scores_of(observed, step)
            scores = maps(torch.cat([observed, torch.tensor([-7.0, 7.5]).double()])[:, None])
            assert scores.isfinite().all()
            assert maps.log_slopes(scores).isfinite().all()
            assert maps.invert(scores[: len(values)])[:, 0].equal(observed)


def test_small_tables_are_not_learned_by_heart() -> None:
    """An interval of scores has several values of the training set, if none of them is frequent."""
    values = torch.randn(200, generator=Generator().manual_seed(0)).double()
    assert len(fit_knots(values, 0.0).values.unique()) < 50
    drawn = scores_of(values, 0.0).invert(torch.randn(500, 1, generator=Generator().manual_seed(1)))
    assert len(drawn.unique()) > 480
    assert torch.isin(drawn, values).double().mean() < 0.02


def test_of_many_rows_some_are_measured_but_the_smallest_and_the_largest_value_always() -> None:
    rows = torch.randn(MAX_FITTED + 50_000, 1, generator=Generator().manual_seed(0)).double()
    codec = fitted(rows)
    assert codec.scores is not None
    assert codec.scores.values[0, 0] == rows.min()
    assert codec.scores.values[0, -1] == rows.max()
    assert abs(codec.encode(rows)[:, 0].std() - 1) < 0.01


@pytest.mark.parametrize("normalization", ["standard", "quantile"])
def test_values_with_a_large_mean_keep_their_differences(normalization: Normalization) -> None:
    times = 1.7e9 + 10 * torch.randn(500, 1, generator=Generator().manual_seed(0)).double()
    codec = fitted(times, normalization=normalization)
    x = codec.encode(times)
    assert len(x[:, 0].unique()) == len(times.unique())
    torch.testing.assert_close(codec.decode(x), times, rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalization", ["standard", "quantile"])
@pytest.mark.parametrize("constant", [0.1, 0.0, -3e9])
def test_a_column_that_never_changes_comes_back_exactly(
    constant: float, normalization: Normalization
) -> None:
    rows = torch.full((7, 1), constant, dtype=torch.float64)
    codec = fitted(rows, normalization=normalization)
    assert codec.decode(codec.encode(rows)).unique().tolist() == [constant]
    drawn = torch.cat([torch.randn(5, 1), torch.zeros(5, 1)], 1)
    assert codec.decode(drawn).unique().tolist() == [constant]


def test_the_log_determinant_is_that_of_the_derivative_where_there_is_a_density() -> None:
    """Inside of the training set, beyond it, and with another normalization."""
    rows = torch.stack([SKEWED, SKEWED.flip(0), HEAVY], 1)[:5000]
    columns = (Column(name="a"), Column(name="b", normalization="standard"), Column(name="c"))
    layout = RowLayout(columns)
    codec = fit_codec(layout, InMemory.whole(rows), "quantile")
    cases = torch.tensor([[1.03, 1.7, 2.2], [400.0, -3, 77], [-5, 9, -0.5]]).double()
    for row in cases:
        unit = 1e-5
        moved = torch.eye(3).double() * unit
        upper, lower = codec_values(codec, row + moved), codec_values(codec, row - moved)
        expected = ((upper - lower) / (2 * unit)).logdet()
        found = codec.log_abs_det(codec.encode(row[None]))[0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    at_zero = codec.log_abs_det_by_column(codec.encode(torch.tensor([[1.0, 1, 0]]).double()))
    assert at_zero[0, 2] == 0, "a frequent value has a probability, and no density"


def codec_values(codec: TableCodec, rows: Tensor) -> Tensor:
    """Encoded measured values in float64."""
    return codec._encode_values(rows[:, codec.layout.measured])


def test_whole_numbers_dates_and_decimals_are_steps_of_a_grid() -> None:
    count = 400
    generator = Generator().manual_seed(0)
    days = 86_400.0 * torch.randint(0, 9000, (count,), generator=generator).double()
    seconds = torch.randint(0, 10**9, (count,), generator=generator).double()
    cents = torch.randint(0, 10**6, (count,), generator=generator).double() / 100
    columns = (
        Column(name="day", kind="date"),
        Column(name="second", kind="date"),
        Column(name="price", format=CellFormat(decimals=2)),
        Column(name="exact"),
    )
    codec = fitted(torch.stack([days, seconds, cents, cents / 3], 1), columns)
    assert codec.scores is not None
    assert codec.scores.steps.tolist() == [86_400, 1, 0.01, 0]
    drawn = codec.decode(torch.cat([torch.randn(100, 4), torch.zeros(100, 4)], 1))
    assert (drawn[:, 0] % 86_400 == 0).all()
    assert (drawn[:, 1] % 1 == 0).all()
    assert drawn[:, 2].tolist() == [round(value, 2) for value in drawn[:, 2].tolist()]
