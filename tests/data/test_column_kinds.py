"""What columns are: found from all of their cells, or as the user says."""

import random
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from vae_cli.data.column_kinds import ColumnReport
from vae_cli.data.dataset import TableRules
from vae_cli.data.table_contents import survey
from vae_cli.data.table_files import open_table
from vae_cli.data.table_source import open_frame
from vae_cli.errors import UsageError

SOURCE = random.Random(0)
ROWS = 400


def of(cells: list[str], *asked: str, delimiter: str = ",", path: Path) -> ColumnReport:
    """What is found about a column `x`, which stands beside one of other numbers."""
    lines = [f'"{cell}"{delimiter}{SOURCE.random():.3f}' for cell in cells]
    path.write_text("\n".join([f"x{delimiter}y", *lines]) + "\n")
    return survey(open_table(path), TableRules(kinds=asked))[0]


def some(*cells: str) -> list[str]:
    """A column in which each of some cells occurs, in no order."""
    return [*cells, *SOURCE.choices(cells, k=ROWS - len(cells))]


def test_the_kind_of_a_column_is_that_of_all_of_its_cells(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    numbers = [f"{SOURCE.gauss(0, 9):.2f}" for _ in range(ROWS)]
    integers = [str(SOURCE.randrange(1000)) for _ in range(ROWS)]
    days = [f"2024-{1 + n % 12:02}-{1 + n % 28:02}" for n in range(ROWS)]
    words = [f"word {n % 150}" for n in range(ROWS)]
    for cells, kind in (
        (numbers, "number"),
        (integers, "integer"),
        ([f"{n}.0" for n in integers], "integer"),
        ([f"${n}" for n in integers], "integer"),
        (some("$5", "$7"), "integer"),
        (some("1", "2", "3"), "category"),
        (some("0", "1"), "category"),
        (some("True", "False"), "category"),
        (some("yes", "no"), "category"),
        (some("a", "b", ""), "category"),
        (some("7", ""), "category"),
        (words, "category"),
        ([f"{n:05}" for n in map(int, some("123", "4567"))], "category"),
        (days, "date"),
        ([f"{n % 24:02}:{n % 60:02}" for n in range(ROWS)], "date"),
        (["5"] * ROWS, "constant"),
        (["same"] * ROWS, "constant"),
        (["2024-01-01"] * ROWS, "constant"),
        ([str(n) for n in range(ROWS)], "id"),
        ([str(n + 1) for n in range(ROWS)], "id"),
        ([f"customer {n}" for n in range(ROWS)], "id"),
        ([""] * ROWS, "empty"),
        (["?"] * (ROWS - 1) + ["-"], "empty"),
        ([f"a sentence about {n % 300}" for n in range(ROWS)], "text"),
        ([str(1990 + n) for n in range(30)], "integer"),
        ([str(n % 5) for n in range(20)], "integer"),
    ):
        found = of(cells, path=path)
        assert found.kind == kind, (found, cells[:5])
        assert bool(found.problem) == (kind == "text")
        assert (found.column is None) == (kind in {"id", "empty", "text"})


def test_a_kind_is_refuted_by_a_cell_far_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.data.table_text.SMALLEST_PART", 4000)
    monkeypatch.setattr("vae_cli.data.table_text.BYTES_A_COLUMN", 1)
    path = tmp_path / "t.csv"
    codes = [str(n % 7) for n in range(3000)]
    assert of(codes, path=path).kind == "category"
    found = of([*codes, "A"], path=path)
    assert (found.kind, found.distinct, found.rows) == ("category", 8, 3001)
    assert of([*codes, "07"], path=path).column.categories == (*"0123456", "07")
    days = ["01/02/2024"] * 1500
    assert of([*days, "12/31/2024"], path=path).column.format.date == "%m/%d/%Y"
    assert of([*days, "31/12/2024"], path=path).column.format.date == "%d/%m/%Y"


def test_other_cells_among_numbers_or_dates_are_named_with_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    numbers = [f"{n * 1.5}" for n in range(ROWS)]
    days = [f"2024-{1 + n % 12:02}-{1 + n % 28:02}" for n in range(ROWS)]
    for cells, what in ((numbers, "a number"), (days, "a date")):
        cells[3], cells[10], cells[20], cells[30] = "many", "x", "many", "y"
        problem = of(cells, path=path).problem
        assert f"row 5, column x: 'many' is not {what}" in problem
        assert "(nor are row 12 'x', row 22 'many', 1 more)" in problem
        assert "data.columns=x=category" in problem.replace("\0", "")
    numbers[3] = numbers[10] = numbers[20] = "1"
    numbers[30] = "inf"
    assert "row 32, column x: 'inf' is not a finite number" in of(numbers, path=path).problem
    days = [f"2024-02-{1 + n % 28:02}" for n in range(ROWS)]
    assert "row 2, column x: '2024-02-30' is not" in of(["2024-02-30", *days], path=path).problem
    mixed = [f"{n}.{n % 7}" for n in range(ROWS)]
    other = of([*mixed, *mixed], delimiter=";", path=path)
    assert other.kind == "number"
    path.write_text("x;y\n" + "".join(f"{n},5;{n % 90 + 1.25}\n" for n in range(ROWS)))
    report = survey(open_table(path), TableRules())[1]
    assert "row 2, column y: '1.25' is not a number, because the decimal sign" in report.problem


def test_what_the_user_says_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    codes = [str(SOURCE.randrange(10_000, 20_000)) for _ in range(ROWS)]
    assert of(codes, "x=category", path=path).kind == "category"
    assert of(codes, "x=id", path=path).kind == "id"
    assert of(some("1", "2"), "x=integer", path=path).kind == "integer"
    assert of(some("1", "2"), "x=number:standard", path=path).column.normalization == "standard"
    assert of([str(n) for n in range(ROWS)], "x=integer", path=path).kind == "integer"
    unique = [f"word {n}" for n in range(ROWS)]
    assert of(unique, "x=category", path=path).distinct == ROWS
    day = of(some("20240131", "20240201"), "x=date:%Y%m%d", path=path)
    assert (day.kind, day.low, day.high) == ("date", "20240131", "20240201")
    for kind, cell in (("number", "a"), ("integer", "1.5"), ("date", "x")):
        good = "2024-01-01" if kind == "date" else "1"
        problem = of([good, cell, good], f"x={kind}", path=path).problem
        assert f"row 3, column x: {cell!r} is not a" in problem


def test_a_line_says_which_of_day_and_month_is_taken_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    either, clear = some("03/04/2024", "05/06/2024"), some("03/04/2024", "25/06/2024")
    found = of(either, path=path)
    assert "03/04/2024 is read as %m/%d/%Y, and may be %d/%m/%Y: " in found.note
    assert "data.columns=x=date:%d/%m/%Y" in str(UsageError(found.note))
    assert of(clear, path=path).column.format.date == "%d/%m/%Y"
    for cells, asked in ((clear, ()), (either, ("x=date:%d/%m/%Y",)), (some("2024-03-04"), ())):
        assert of(cells, *asked, path=path).note == ""


def test_the_format_of_cells_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    numbers = [SOURCE.randrange(1000, 99_999) / 4 for _ in range(ROWS)]
    for pattern, wanted in (
        ("{:.2f}", {"decimals": 2, "min_decimals": 2}),
        ("{}", {"decimals": 2, "min_decimals": 1}),
        ("{:,.2f}", {"thousands": ",", "decimals": 2}),
        ("${:.2f}", {"prefix": "$", "decimals": 2}),
        ("{:.2f} €", {"suffix": " €", "decimals": 2, "min_decimals": 2}),
        ("{:.3e}", {"decimals": None}),
    ):
        column = of([pattern.format(value) for value in numbers] + ["n/a"], path=path).column
        assert column is not None
        assert {key: getattr(column.format, key) for key in wanted} == wanted, pattern
        assert column.format.missing == "n/a"


def test_the_columns_of_a_frame_have_types() -> None:
    frame = pa.table(
        {
            "n": pa.array([1, None, 3] * 20, pa.int32()),
            "flag": [True, False, None] * 20,
            "kind": pa.array(["a", "b", None] * 20).dictionary_encode(),
            "list": [[1], [2], None] * 20,
            "share": [0.25, 0.5, 0.125] * 20,
            "price": pa.array([Decimal("0.35"), Decimal("2.40"), None] * 20),
        }
    )
    found = {one.name: one for one in survey(open_frame(frame), TableRules())}
    kinds = {name: one.kind for name, one in found.items()}
    assert kinds == {
        "n": "category",
        "flag": "category",
        "kind": "category",
        "list": "text",
        "share": "number",
        "price": "number",
    }
    assert found["flag"].column.categories == ("False", "True")
    assert found["share"].column.format.decimals == 3
    assert found["price"].column.format.decimals == 2
    assert "cells of list" in found["list"].problem


@pytest.mark.parametrize("count", [1000, 5000])
def test_a_thousand_categories_are_one_column(tmp_path: Path, count: int) -> None:
    cells = [f"shop {n % count}" for n in range(3 * count)]
    found = of(cells, path=tmp_path / "t.csv")
    assert found.kind == "category"
    assert len(found.column.categories) == count
