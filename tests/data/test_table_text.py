"""How the text of a table is stored: its encoding, what separates its cells, and broken lines."""

import csv
import gzip
import io
from pathlib import Path

import pytest

from vae_cli.data import table_text
from vae_cli.data.table_contents import TableContents
from vae_cli.data.table_files import read_table
from vae_cli.errors import InterruptedRunError, UsageError

NAMES = ("größe", "b €")
ROWS = [[7.5, 1], [-2, 3], [4, 0.25]] * 20


def read(path: Path, text: str | bytes | None = None) -> TableContents:
    """A table of numbers."""
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path, version=2)


def names(found: TableContents) -> tuple[str, ...]:
    return tuple(column.name for column in found.columns)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_encoding_is_read_with_every_delimiter(
    tmp_path: Path, delimiter: str, packed: bool
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([NAMES, *ROWS])
    for encoding, note in (
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "it is in UTF-16"),
        ("utf-32", "it is in UTF-32"),
        ("utf-16-le", "read as UTF-16, because every other byte is 0"),
        ("utf-16-be", "read as UTF-16, because every other byte is 0"),
        ("cp1252", "read as Windows-1252 (Latin-1), because it is not UTF-8"),
    ):
        content = text.getvalue().encode(encoding)
        path = tmp_path / ("t.csv.gz" if packed else "t.csv")
        found = read(path, gzip.compress(content) if packed else content)
        assert (names(found), found.rows.tolist()) == (NAMES, ROWS)
        assert list(found.notes) == ([] if note is None else [note])


def test_a_letter_that_is_not_utf_8_may_come_late(tmp_path: Path) -> None:
    found = read(tmp_path / "t.csv", b"a,b\n" + b"1,2\n" * 300_000 + b"4,5\xa0\n")
    assert "Windows-1252" in found.notes[0]
    assert found.rows[-1].tolist() == [4, 5]


def test_the_delimiter_is_one_that_all_of_the_first_lines_have(tmp_path: Path) -> None:
    for text, columns, rows in (
        ("a;b\n1,5;2\n", ("a", "b"), [[1.5, 2]]),
        ("x|y,z\n1,2\n", ("x|y", "z"), [[1, 2]]),
        ("a;b,c\n1,2\n", ("a;b", "c"), [[1, 2]]),
        ("a|b\n1,5|2,5\n", ("a", "b"), [[1.5, 2.5]]),
        ('"a;b",c\n1,2\n', ("a;b", "c"), [[1, 2]]),
        ('"a\n, b";c\n1;2\n', ("a\n, b", "c"), [[1, 2]]),
        ("sep=|\na|b\n1|2\n", ("a", "b"), [[1, 2]]),
        ("a\n1\n", ("a",), [[1]]),
        ("1,2\n3,4\n", ("column 1", "column 2"), [[1, 2], [3, 4]]),
        ("\n\na,b\n\n1,2\r\n\n3,4", ("a", "b"), [[1, 2], [3, 4]]),
        ("5%,$95\n1%,$2\n3%,$4\n", ("column 1", "column 2"), [[5, 95], [1, 2], [3, 4]]),
        ("a\tb\n1.5\t2\n-3.25e1\t4.0\n", ("a", "b"), [[1.5, 2], [-32.5, 4]]),
        ("a;b\n1,5;2\n-3,25e1;4,0\n", ("a", "b"), [[1.5, 2], [-32.5, 4]]),
    ):
        found = read(tmp_path / "t.csv", text)
        assert (names(found), found.rows.tolist()) == (columns, rows), text
    assert names(read(tmp_path / "t.TSV", "a, x\tb\n1\t2\n3\t4\n")) == ("a, x", "b")


def test_a_first_row_that_is_taken_for_names_is_not_lost_in_silence(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"the first line of t\.csv is taken for the names"):
        assert names(read(tmp_path / "t.csv", "5%,95%\n1,2\n3,4\n")) == ("5%", "95%")
    read(tmp_path / "t.csv", "2019,land\n1,2\n")


INDEX = "is taken for an index and left out; rename it to learn it"
EMPTY = "1 column is left out at the end, without a name and without values"


def test_columns_without_a_name_that_hold_no_data_are_left_out_with_a_line(tmp_path: Path) -> None:
    for text, notes in (
        ("a,b\n1,2\n3,4\n", []),
        (",a,b\n7,1,2\n9,3,4\n", [f"column 1 {INDEX}"]),
        (",a,b\nr1,1,2\nr2,3,4\n", [f"column 1 {INDEX}"]),
        ("Unnamed: 0,a,b\n0,1,2\n1,3,4\n", [f"Unnamed: 0 {INDEX}"]),
        ('"a","b"\n"r1",1,2\n"r2",3,4\n', [f"column 1 {INDEX}"]),  # as R writes it
        ("a,b,\n1,2,\n3,4,\n", [EMPTY]),
        ("a,b,,\n1,2,,\n3,4\n", [EMPTY.replace("1 column is", "2 columns are")]),
        ("a,b\n1,2,\n3,4,\n", []),
        ("a,b\n1,2\n3,4,\n", []),
        (",a,b,\n0,1,2,\n1,3,4,\n", [f"column 1 {INDEX}", EMPTY]),
    ):
        found = read(tmp_path / "t.csv", text)
        assert (names(found), found.rows.tolist()) == (("a", "b"), [[1, 2], [3, 4]]), text
        assert sorted(found.notes) == sorted(notes)


def test_a_line_that_is_no_row_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = ",".join("1" * 200_000)
    for text, reason in (
        ("a,b\n1,2\n3\n", "row 3 has 1 cells, not 2"),
        ("a,b,\n" + "1,2,\n" * 30 + "3,4,5\n", "row 32 has 3 cells, not 2"),
        ("a,b\n", "a header and no rows"),
        ("", "is empty"),
        ('a,b\n1,2\n3,"4\n5,6\n', r"t\.csv is not a table: "),
        (f"{wide}\n{wide}\n", "200,000 columns: at most 100,000"),
        (f"a,b\n{wide}\n", "200000 cells, not 2"),
        ("x,x,y\n1,2,3\n", "several columns with the same name: x; rename them"),
    ):
        with pytest.raises(UsageError, match=reason):
            read(tmp_path / "t.csv", text)
    monkeypatch.setattr(table_text, "MAX_LINE", 1000)
    with pytest.raises(UsageError, match="a line of 1,000 characters"):
        read(tmp_path / "t.csv", "1," * 1000)


def test_quotation_marks_within_cells_and_between_parts_divide_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_text, "SMALLEST_PART", 40)
    monkeypatch.setattr(table_text, "BYTES_A_COLUMN", 1)
    cells = ['two\nlines, "quoted"', "plain", "x;\n\n;y", '"'] * 20
    text = io.StringIO()
    csv.writer(text).writerows([["n", "text"], *([n, cell] for n, cell in enumerate(cells))])
    path = tmp_path / "t.csv"
    path.write_text(text.getvalue())
    assert texts_of(path) == cells
    monkeypatch.undo()
    path.write_text('n,text\n1,a pipe of 5"\n2,x\n')
    assert texts_of(path) == ['a pipe of 5"', "x"]


def texts_of(path: Path) -> list[str]:
    table = table_text.TextTable(path)
    return [cell for (texts,) in table.batches(["text"]) for cell in texts.to_pylist()]


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "sheet.csv").write_bytes(b"PK\x03\x04 a spreadsheet")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\xff")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 999)[:-20])
    for name in ("bad.parquet", "bad.xlsx"):
        (tmp_path / name).write_bytes(b"nothing")
    for name, reason in (
        ("missing.csv", r"missing\.csv does not exist"),
        ("folder.csv", r"cannot read .*folder\.csv: Is a directory"),
        ("sheet.csv", r"sheet\.csv is an archive or a spreadsheet, not a text: save it as CSV"),
        ("picture.csv", r"picture\.csv is not a text: save the table as CSV in UTF-8"),
        ("cut.csv.gz", r"cannot read .*cut\.csv\.gz: it is damaged"),
        ("bad.parquet", r"bad\.parquet is no Parquet file, or a damaged one"),
        ("bad.xlsx", r"bad\.xlsx is no spreadsheet, or a damaged one"),
    ):
        with pytest.raises(UsageError, match=reason):
            read(tmp_path / name)


def test_a_signal_ends_the_reading_of_a_long_table(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        raise InterruptedRunError("stopped", 2)

    path = tmp_path / "t.csv"
    path.write_text("1.000000,2.000000\n" * 200_000)
    with pytest.raises(InterruptedRunError):
        read_table(path, progress=stop)
    assert [total for _, total in calls] == [path.stat().st_size >> 20]
