"""Conditions on rows: which numbers of a column are meant by what somebody asks for."""

import datetime
from typing import Any

import pytest
import torch

from vae_cli.data.columns import CellFormat, Column
from vae_cli.data.conditions import make_conditions
from vae_cli.data.dataset import Spec, TableRules
from vae_cli.errors import UsageError

COLUMNS = (
    Column(name="sex", kind="category", categories=("F", "M", "a, b")),
    Column(name="age", kind="integer"),
    Column(name="price", format=CellFormat(decimals=2, prefix="$", thousands=",")),
    Column(name="joined", kind="date", format=CellFormat(date="%d.%m.%Y")),
    Column(name="seen", kind="date", format=CellFormat(date="%Y-%m-%d %H:%M:%S")),
    Column(name="opens", kind="date", format=CellFormat(date="%H:%M")),
    Column(name="year", kind="constant", categories=("2024",)),
    Column(name="weight"),
)
RULES = TableRules(label="kind", id="key", dropped=("extra",))
SPEC = Spec("people", (len(COLUMNS),), columns=COLUMNS, table=RULES)
NAN = float("nan")
DAY = 86400.0


@pytest.mark.parametrize(
    ("name", "wanted", "meant", "others"),
    [
        ("sex", "F", [0], [1, 2, NAN]),
        ("sex", "m", [1], [0]),
        ("sex", ["M", "a, b"], [1, 2], [0, NAN]),
        ("age", (30, 40), [30, 40], [29, 41, NAN]),
        ("age", ("30", None), [30, 1e9], [29]),
        ("age", [(None, 18), 65], [0, 18, 65], [19, 64, 66]),
        ("price", "$1,234.50", [1234.5, 1234.504], [1234.51, 1234.49]),
        ("price", 0.1 + 0.2, [0.3], [0.31]),
        ("weight", 0.5, [0.5], [0.5 + 1e-9]),
        ("joined", "02.01.1970", [DAY, 1.9 * DAY], [0, 2 * DAY]),
        ("joined", (datetime.date(1970, 1, 2), "1970-01-03"), [DAY, 2 * DAY], [0, 3 * DAY]),
        ("seen", "1970-01-02", [DAY, 2 * DAY - 1], [DAY - 1, 2 * DAY]),
        ("seen", "1970-01-01 00:01:00", [60, 60.5], [59, 61]),
        ("seen", (None, datetime.datetime(1970, 1, 1, 1)), [0, 3600], [3601]),
        ("opens", "08:30", [30_600, 30_659], [30_599, 30_660]),
        ("year", 2024, [0], []),
    ],
)
def test_a_value_is_met_by_the_numbers_that_are_spelled_like_it(
    name: str, wanted: Any, meant: list[float], others: list[float]
) -> None:
    (condition,) = make_conditions(SPEC, {name: wanted})
    rows = torch.full((len(meant) + len(others), len(COLUMNS)), NAN, dtype=torch.float64)
    rows[:, SPEC.column_names.index(name)] = torch.tensor(meant + others, dtype=torch.float64)
    assert condition.holds(rows).tolist() == [True] * len(meant) + [False] * len(others)


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ({"agee": 3}, "where agee: people has no such column; did you mean age?"),
        ({"kind": "x"}, "where kind: the model of people did not learn it"),
        ({"key": "1"}, "where key: the model of people did not learn it"),
        ({"sex": "N"}, "where sex=N: there are F, M, a, b"),
        ({"sex": "a b"}, "where sex=a b: did you mean a, b?"),
        ({"sex": ("F", "M")}, "where sex=F..M: a range needs a column of numbers or dates"),
        ({"age": "old"}, "where age=old: the column has numbers"),
        ({"age": (40, 30)}, "where age=40..30: no value is in this range"),
        ({"age": []}, "where age=: there is no value"),
        ({"joined": "31.02.2020"}, "where joined=31.02.2020: write it as in 01.01.1970"),
    ],
)
def test_a_condition_that_cannot_be_met_is_one_line(where: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as error:
        make_conditions(SPEC, where)
    assert str(error.value).startswith(line)
    with pytest.raises(UsageError, match="images has no columns"):
        make_conditions(Spec("images", (1, 8, 8)), where)
