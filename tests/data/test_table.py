"""Tables of numbers: read with their columns, or refused with the cell that is wrong."""

from pathlib import Path

import pytest
import torch

from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import Spec
from vae_cli.data.table import Table, read_table_like
from vae_cli.data.table_files import read_table
from vae_cli.data.table_writing import write_table
from vae_cli.errors import UsageError


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,2\n3,4\n5,6\n", ("a", "b")),
        ("1,2\n3,4\n5,6\n", ("column 1", "column 2")),
        ("a;b\n1;2\n3;4\n5;6\n", ("a", "b")),
        ('\ufeff"a, x",b\r\n1,2\r\n3,4\r\n\r\n5,6', ("a, x", "b")),
    ],
)
def test_a_table_is_read_with_or_without_a_header(
    tmp_path: Path, text: str, columns: tuple[str, ...]
) -> None:
    found, rows, *_ = read_table(written(tmp_path / "t.csv", text))
    assert found == columns
    assert rows.dtype == torch.float64
    assert rows.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_tsv_file_has_tabs_between_its_cells(tmp_path: Path) -> None:
    columns, rows, *_ = read_table(written(tmp_path / "t.TSV", "a, x\tb\n1\t2\n3\t4\n"))
    assert columns == ("a, x", "b")
    assert rows.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,x\n", "row 2, column b: 'x' is not a number"),
        ("a,b\n1,2\n3,\n", "row 3, column b: a value is missing"),
        ("a,b\n1,nan\n", "row 2, column b: a value is missing"),
        ("a,b\n1,inf\n", "row 2, column b: 'inf' is not a finite number"),
        ("a,b\n1,1e400\n", "row 2, column b: '1e400' is not a finite number"),
        ('a,b\n1,"1,5"\n', "row 2, column b: '1,5' is not a number"),
        ("1,\n3,4\n", "row 1, column column 2: a value is missing"),
        ("x,x,y\n1,2,3\n", "several columns with the same name: x; rename them"),
        ("a,b\n1,1_000\n", "row 2, column b: '1_000' is not a number"),
        ("a,b\n1,2\n3\n", "row 3 has 1 cells, not 2"),
        ("a,b\n", "a header and no rows"),
        ('a,b\n"1,2\n', "t.csv is not a table: "),
        ("", "is empty"),
        ("\x00\x01", "'\\\\x00|is not a table|a header and no rows"),
    ],
)
def test_a_cell_that_is_not_a_number_is_refused_with_its_row_and_column(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        read_table(written(tmp_path / "t.csv", text))


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "sheet.csv").write_bytes(b"PK\x03\x04 a spreadsheet")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\xff")
    for name, reason in (
        ("missing.csv", r"missing\.csv does not exist"),
        ("folder.csv", r"cannot read .*folder\.csv: Is a directory"),
        ("sheet.csv", r"sheet\.csv is an archive or a spreadsheet, not a text: save it as CSV"),
        ("picture.csv", r"picture\.csv is not a text: save the table as CSV in UTF-8"),
    ):
        with pytest.raises(UsageError, match=reason):
            read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_a_written_table_is_the_same_when_it_is_read(tmp_path: Path, name: str) -> None:
    rows = torch.tensor([[1.5, -2e-9], [3e12, 0.1]], dtype=torch.float64)
    write_table(tmp_path / name, number_columns("a, b", "c"), rows)
    columns, again, *_ = read_table(tmp_path / name)
    assert columns == ("a, b", "c")
    torch.testing.assert_close(again, rows, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "text",
    ["a,b,c\n1,2,3\n4,5,6\n", "c,a,b\n3,1,2\n6,4,5\n", "1,2,3\n4,5,6\n"],
)
def test_columns_are_brought_to_the_order_of_a_spec(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "t.csv", text)
    spec = Spec("wine", (3,), columns=number_columns("a", "b", "c"))
    assert read_table_like(path, spec).rows.tolist() == [[1, 2, 3], [4, 5, 6]]
    dataset = Table(path, like=spec, test_fraction=0.0)
    assert dataset.spec == Spec("t", (3,), columns=number_columns("a", "b", "c"))
    assert dataset.train().items.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_model_without_column_names_takes_any_table_with_as_many_columns(tmp_path: Path) -> None:
    spec = Spec("x", (2,), columns=number_columns("column 1", "column 2"))
    path = written(tmp_path / "t.csv", "b,a\n1,2\n")
    assert read_table_like(path, spec).rows.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,c\n1,2\n", "lacks b: the model learned 2 columns of wine"),
        ("a\n1\n", "lacks b: the model learned 2 columns of wine"),
        ("a,b,c\n1,2,3\n", "has c, which is not among them: the model learned 2 columns of wine"),
        ("1,2,3\n", "lacks a: the model learned 2 columns of wine"),
    ],
)
def test_other_columns_than_those_of_a_spec_are_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    spec = Spec("wine", (2,), columns=number_columns("a", "b"))
    with pytest.raises(UsageError, match=reason):
        read_table_like(written(tmp_path / "t.csv", text), spec)


def test_adding_rows_moves_none_from_one_part_to_the_other(tmp_path: Path) -> None:
    lines = [f"{n},{n * n}\n" for n in range(300)]
    few, all_of_them = (
        set(
            Table(written(tmp_path / "t.csv", "".join(some)), test_fraction=0.2)
            .test()
            .rows.tolist()
        )
        for some in (lines[:200], lines)
    )
    assert few == {row for row in all_of_them if row < 200}
    assert few
