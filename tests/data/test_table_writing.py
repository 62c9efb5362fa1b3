"""Tables that are written: the dialect of a file that was read, and types in Parquet."""

import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vae_cli.data.columns import CellFormat, Column, number_columns
from vae_cli.data.dataset import TableRules
from vae_cli.data.table_writing import CHUNK_ROWS, to_arrow, to_records, to_values, write_table

COLUMNS = (
    Column(name="price", format=CellFormat(decimals=2, min_decimals=2, prefix="$", thousands=",")),
    Column(name="age", kind="integer", format=CellFormat(missing="NA")),
    Column(name="=cut", kind="category", categories=("=x", "a, b", "-1")),
    Column(name="smoker", kind="category", categories=("False", "True")),
    Column(name="rooms", kind="category", categories=("2", "10")),
    Column(name="joined", kind="date", format=CellFormat(date="%d/%m/%Y")),
    Column(name="year", kind="constant", categories=("2024",)),
)
ROWS = np.array([[1234.5, 40, 0, 1, 0, 0, 0], [-2, np.nan, 1, 0, 1, 86400, 0], [0, 7, 2] + [0] * 4])


def test_cells_have_their_format_and_the_dialect_of_the_file(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", COLUMNS, ROWS, {"age": ["k1", "@2", "-3"]})
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        "vae age,price,age,'=cut,smoker,rooms,joined,year",
        'k1,"$1,234.50",40,\'=x,True,2,01/01/1970,2024',
        '\'@2,-$2.00,NA,"a, b",False,10,02/01/1970,2024',
        "-3,$0.00,7,-1,False,2,01/01/1970,2024",
    ]
    german = Column(name="x", format=CellFormat(decimals=1, thousands="."))
    columns, rules = (*number_columns("offset"), german), TableRules(delimiter=";", decimal=",")
    for suffix, delimiter in ((".csv", ";"), (".tsv", "\t")):
        path = tmp_path / f"t{suffix}"
        write_table(path, columns, [[0.5, 1234.5], [-0.5, 0]], rules=rules)
        lines = [f"offset{delimiter}x", f"0,5{delimiter}1.234,5", f"-0,5{delimiter}0"]
        assert path.read_text().splitlines() == lines


def test_a_long_table_has_the_same_digits_in_all_its_parts(tmp_path: Path) -> None:
    values = np.where(np.arange(CHUNK_ROWS + 2) < CHUNK_ROWS, 1 / 3, 1e9 + 1 / 3)
    write_table(tmp_path / "t.csv", number_columns("x"), values[:, None])
    cells = (tmp_path / "t.csv").read_text().split()[1:]
    assert len(cells) == CHUNK_ROWS + 2
    assert {cells[0], cells[-1]} == {"0.3333333", "1e+09"}


def test_parquet_has_types_and_nulls(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", COLUMNS, ROWS, {"id": ["k1", "@2", "-3"]})
    table = pq.read_table(tmp_path / "t.parquet")
    kinds = [pa.string(), pa.float64(), pa.int64(), pa.string(), pa.bool_(), pa.int64()]
    assert table.schema.types == [*kinds, pa.date32(), pa.int64()]
    assert table.to_pylist()[1] == {
        "id": "@2",
        "price": -2.0,
        "age": None,
        "=cut": "a, b",
        "smoker": False,
        "rooms": 10,
        "joined": datetime.date(1970, 1, 2),
        "year": 2024,
    }


def test_a_record_for_json_has_the_types_and_the_text_of_a_date() -> None:
    first, second, _ = to_records(COLUMNS, ROWS)
    assert json.loads(json.dumps(first)) == {
        "price": 1234.5,
        "age": 40,
        "=cut": "=x",
        "smoker": True,
        "rooms": 2,
        "joined": "01/01/1970",
        "year": 2024,
    }
    assert second["age"] is None
    assert to_records(COLUMNS[5:6], [[np.nan]]) == [{"joined": None}]


def test_times_and_instants_are_told_apart_by_their_pattern() -> None:
    kinds = {"%H:%M": pa.time64("us"), "%Y-%m-%d %H:%M": pa.timestamp("us"), "%b %d": pa.date32()}
    for pattern, kind in kinds.items():
        column = Column(name="t", kind="date", format=CellFormat(date=pattern))
        assert to_arrow([column], [[3661.0], [np.nan]]).schema.types == [kind], pattern


def test_only_texts_that_would_come_back_are_numbers() -> None:
    assert to_values(["True", "false"]) == [True, False]
    assert to_values(["3", "-1"]) == [3, -1]
    assert to_values(["0.5", "2.0"]) == [0.5, 2.0]
    for names in (["007", "1"], ["1.50"], ["1", "x"], ["1_0"], ["True", "x"]):
        assert to_values(names) == names


def test_numbers_that_have_no_place_in_a_type_are_no_error(tmp_path: Path) -> None:
    rows = [[1e34, 1e34], [-np.inf, -np.inf]]
    columns = (Column(name="n", kind="integer"), *COLUMNS[5:6])
    assert to_records(columns, rows) == [
        {"n": 1e34, "joined": "31/12/9999"},
        {"n": -np.inf, "joined": "01/01/0001"},
    ]
