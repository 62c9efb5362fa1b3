"""The figures of synthetic rows, and what a table does not have."""

import sys
from dataclasses import replace

import pytest
import torch
from tables import COLUMNS, mixed_rows

from vae_cli.data.columns import CellFormat, Column
from vae_cli.evaluation.figures import Absent, Figure, Figures
from vae_cli.evaluation.tables import (
    TABLE_NAMES,
    Tables,
    copy_figures,
    round_as_written,
    similarity_figures,
    usefulness_figures,
)

NAMES = ("train", "test", "synthetic")
LIGHT = [1, 2, 4, 6]  # without heavy tails, in which the largest value decides about the bins
TABLES = Tables(
    columns=tuple(COLUMNS[place] for place in LIGHT),
    train=mixed_rows(1200, seed=0)[:, LIGHT],
    test=mixed_rows(400, seed=1)[:, LIGHT],
    synthetic=mixed_rows(1200, seed=2)[:, LIGHT],
)


def figures_of(tables: Tables, target: str = "age") -> Figures:
    return {
        **similarity_figures(tables, 0),
        **usefulness_figures(tables, 0, target),
        **copy_figures(tables),
    }


def values_of(figures: Figures) -> dict[str, float]:
    return {name: one.value for name, one in figures.items() if isinstance(one, Figure)}


def test_rows_of_a_perfect_model_have_the_figures_of_real_rows() -> None:
    figures = figures_of(TABLES)
    assert tuple(figures) == TABLE_NAMES
    for name in TABLE_NAMES[::2]:
        found, real = figures[name], figures[f"{name}_real"]
        assert isinstance(found, Figure)
        assert isinstance(real, Figure)
        assert found.error is not None
        assert real.error is not None
        assert 0 < found.error < 0.1
        assert abs(found.value - real.value) < 4 * (found.error**2 + real.error**2) ** 0.5, name


def test_each_figure_sees_what_it_is_about() -> None:
    perfect = values_of(figures_of(TABLES))
    copied = values_of(figures_of(replace(TABLES, synthetic=TABLES.train)))
    assert copied["copies"] == 1
    assert copied["usefulness"] == copied["usefulness_real"]
    generator = torch.Generator().manual_seed(0)
    columns = [v[torch.randperm(1200, generator=generator)] for v in TABLES.synthetic.T]
    shuffled = values_of(figures_of(replace(TABLES, synthetic=torch.stack(columns, 1))))
    assert shuffled["column_shapes"] == pytest.approx(perfect["column_shapes"], abs=0.02)
    assert shuffled["pair_trends"] < perfect["pair_trends"]
    assert shuffled["usefulness"] < 0.1 < perfect["usefulness"]
    shifted = TABLES.synthetic + torch.tensor([20, 0, 86_400 * 2000, 0])
    moved = values_of(figures_of(replace(TABLES, synthetic=shifted)))
    assert moved["column_shapes"] < perfect["column_shapes"] - 0.1
    assert moved["pair_trends"] == pytest.approx(perfect["pair_trends"], abs=1e-9)
    assert {name for name in perfect if name.endswith("_real")} <= set(moved)
    assert all(moved[name] == perfect[name] for name in perfect if name.endswith("_real"))


def test_a_definition_says_how_many_columns_pairs_and_rows_there_were() -> None:
    few = Tables(columns=COLUMNS, **{n: mixed_rows(200, seed=i) for i, n in enumerate(NAMES)})
    figures = figures_of(few, target="")
    texts = {n: one.definition for n, one in figures.items() if isinstance(one, Figure)}
    assert "over 6 of 6 columns; 200 synthetic rows" in texts["column_shapes"]
    assert "of 15 pairs" in texts["pair_trends_real"]
    assert "learned from 200 training rows: 6 columns" in texts["usefulness_real"]
    assert "of 200 held-out rows that are nearer to one of 100" in texts["copies_real"]


def test_what_a_table_cannot_have_is_absent_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Tables(columns=COLUMNS[1:2], **{name: getattr(TABLES, name)[:, :1] for name in NAMES})
    figures = figures_of(one, target="")
    assert isinstance(figures["column_shapes"], Figure)
    assert figures["pair_trends"] == Absent("no two columns are associated in the training rows")
    assert figures["usefulness"] == Absent("there is one column, and none to predict it from")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    missing = usefulness_figures(TABLES, 0, "")
    assert missing["usefulness_real"] == Absent("pip install scikit-learn to have it")


def test_synthetic_values_are_those_that_a_file_would_have() -> None:
    columns = (
        Column(name="price", format=CellFormat(decimals=2)),
        Column(name="age", kind="integer"),
        Column(name="free"),
        Column(name="day", kind="date", format=CellFormat(date="%d.%m.%Y")),
        Column(name="time", kind="date", format=CellFormat(date="%Y-%m-%d %H:%M:%S")),
    )
    rows = torch.tensor([[1.236, 41.7, 0.123456, 86_401.5, 86_401.5]], dtype=torch.float64)
    assert round_as_written(rows, columns).tolist() == [[1.24, 42, 0.123456, 86_400, 86_401]]
    assert round_as_written(torch.full((1, 5), torch.nan), columns).isnan().all()
