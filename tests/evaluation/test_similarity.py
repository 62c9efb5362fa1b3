"""The likeness of tables: that of SDMetrics, and where it is known."""

import warnings

import pytest
import torch
from table_frames import to_frame
from tables import COLUMNS, mixed_rows

from vae_cli.data.columns import Column
from vae_cli.evaluation.figures import jackknife_error
from vae_cli.evaluation.similarity import compare_shapes, compare_trends

SDTYPES = {
    "number": "numerical",
    "integer": "numerical",
    "category": "categorical",
    "date": "datetime",
}


def scores_of_sdmetrics(real: torch.Tensor, synthetic: torch.Tensor) -> list[float]:
    with warnings.catch_warnings(action="ignore"):
        from sdmetrics.reports.single_table import QualityReport

        columns = {
            one.name: {"sdtype": "boolean" if one.name == "member" else SDTYPES[one.kind]}
            for one in COLUMNS
            if one.kind != "constant"
        }
        report = QualityReport()
        metadata = {"columns": columns}
        report.generate(to_frame(real), to_frame(synthetic), metadata, verbose=False)
    values: list[float] = report.get_properties()["Score"].tolist()
    return values


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_scores_are_those_of_sdmetrics(missing: float) -> None:
    real, alike = mixed_rows(1500, holes=missing), mixed_rows(1000, seed=1, holes=missing / 2)
    unlike = alike.clone()
    unlike[:500, :3] = alike[:500, :3].flip(0)
    unlike[:, [1, 5]] += 1
    for synthetic in (alike, unlike):
        shapes, trends = (
            compare(real, synthetic, COLUMNS) for compare in (compare_shapes, compare_trends)
        )
        expected = scores_of_sdmetrics(real, synthetic)
        assert [shapes.value, trends.value] == pytest.approx(expected, abs=1e-6)
        assert (shapes.scored, shapes.total) == (6, 6)
        assert trends.total == 15
        assert 2 < trends.scored < 12, "some pairs are associated, and others are not"


def test_columns_with_one_value_or_none_are_scored_as_by_sdmetrics() -> None:
    real = mixed_rows(500, seed=0)
    for column, value in ((0, 1.0), (0, torch.nan), (6, torch.nan), (6, 1.0), (4, 0.0)):
        for changed in (0, 1):
            pair = [real.clone(), mixed_rows(400, seed=1)]
            pair[changed][:, column] = value
            found = [compare(*pair, COLUMNS).value for compare in (compare_shapes, compare_trends)]
            assert found == pytest.approx(scores_of_sdmetrics(*pair), abs=1e-6)


def test_equal_rows_are_alike_and_shuffled_columns_keep_their_shapes_alone() -> None:
    real = mixed_rows(1000, seed=0, holes=0.1)
    for rows in (real, real.flip(0)):
        assert compare_shapes(real, rows, COLUMNS).value == pytest.approx(1)
        assert compare_trends(real, rows, COLUMNS).value == pytest.approx(1)
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.stack([v[torch.randperm(1000, generator=generator)] for v in real.T], 1)
    assert compare_shapes(real, shuffled, COLUMNS).value == pytest.approx(1)
    assert compare_trends(real, shuffled, COLUMNS).value < 0.8


def test_the_lowest_score_is_named() -> None:
    real, synthetic = mixed_rows(1000, seed=0), mixed_rows(1000, seed=1)
    synthetic[:, 5] += 3
    assert compare_shapes(real, synthetic, COLUMNS).lowest.startswith("price 0.")
    synthetic[:, 1] = synthetic[:, 1].flip(0)
    assert "age" in compare_trends(real, synthetic, COLUMNS).lowest


def test_the_order_of_columns_and_of_categories_changes_nothing() -> None:
    real, synthetic = mixed_rows(500, seed=0, holes=0.1), mixed_rows(500, seed=1, holes=0.1)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    columns = [COLUMNS[place] for place in order]
    renamed = [rows.clone() for rows in (real, synthetic)]
    for rows in renamed:
        rows[:, 2] = 2 - rows[:, 2]
    for compare in (compare_shapes, compare_trends):
        expected = compare(real, synthetic, COLUMNS).value
        assert compare(real[:, order], synthetic[:, order], columns).value == pytest.approx(
            expected
        )
        assert compare(*renamed, COLUMNS).value == pytest.approx(expected)


def test_many_categories_are_counted_as_few_are() -> None:
    """Tables of counts that are mostly empty have no memory for the empty cells."""
    generator = torch.Generator().manual_seed(0)
    few = torch.randint(0, 3, (2, 400), generator=generator)
    rows = torch.stack([few[0], (few[0] + (few[1] == 0)) % 3], 1).double()
    scores = []
    for scale in (1, 50_000):
        texts = tuple(map(str, range(3 * scale)))
        columns = [Column(name=name, kind="category", categories=texts) for name in "ab"]
        scores.append(compare_trends(rows[:200] * scale, rows[200:] * scale, columns))
    assert scores[0].scored == 1
    assert scores[0].value == pytest.approx(scores[1].value)


def test_the_error_is_about_the_spread_over_other_rows() -> None:
    """For heavy tails it is too small: the bins depend on the largest value of a table."""
    category = Column(name="c", kind="category", categories=("low", "middle", "high"))
    columns = (Column(name="a"), Column(name="b"), category)

    def draw(seed: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        common, own = (torch.randn(700, k, generator=generator).double() for k in (1, 3))
        rows = common + 0.7 * own
        rows[:, 2] = (rows[:, 2] + 1.5).floor().clamp(0, 2)
        rows[400:, 0] += 0.5
        return rows[:400], rows[400:]

    def shapes(real: torch.Tensor, synthetic: torch.Tensor) -> float:
        return compare_shapes(real, synthetic, columns).value

    def trends(real: torch.Tensor, synthetic: torch.Tensor) -> float:
        return compare_trends(real, synthetic, columns).value

    for score in (shapes, trends):
        values = torch.tensor([score(*draw(seed)) for seed in range(100)])
        errors = torch.tensor([jackknife_error(score, draw(seed), 0) for seed in range(20)])
        assert 0.7 < errors.mean() / values.std() < 1.5
