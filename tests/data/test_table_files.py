"""How the text of a table is stored: its encoding, and what separates its cells."""

import csv
import io
from pathlib import Path

import pytest

from vae_cli.data.table_files import read_table

NAMES = ("größe", "b €")
ROWS = [[7.5, 1], [-2, 3], [4, 0.25]] * 20


def written(path: Path, delimiter: str = ",", encoding: str = "utf-8", start: str = "") -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([NAMES, *ROWS])
    path.write_bytes((start + text.getvalue()).encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "it is in UTF-16"),
        ("utf-32", "it is in UTF-32"),
        ("utf-16-le", "read as UTF-16, because every other byte is 0"),
        ("utf-16-be", "read as UTF-16, because every other byte is 0"),
        ("cp1252", r"read as Windows-1252 (Latin-1), because it is not UTF-8"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_encoding_is_read_with_every_delimiter(
    tmp_path: Path, encoding: str, delimiter: str, note: str | None
) -> None:
    found = read_table(written(tmp_path / "t.csv", delimiter, encoding))
    assert (found.columns, found.rows.tolist()) == (NAMES, ROWS)
    assert list(found.notes) == ([] if note is None else [note])


def test_a_letter_that_is_not_utf_8_may_come_late(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 300_000 + b"4,5\xa0\n")
    found = read_table(path)
    assert "Windows-1252" in found.notes[0]
    assert found.rows[-1].tolist() == [4, 5]


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("a;b\n1,5;2\n", ("a", "b"), [[1.5, 2]]),
        ("x|y,z\n1,2\n", ("x|y", "z"), [[1, 2]]),
        ("a;b,c\n1,2\n", ("a;b", "c"), [[1, 2]]),
        ("a|b\n1,5|2,5\n", ("a", "b"), [[1.5, 2.5]]),
        ('"a;b",c\n1,2\n', ("a;b", "c"), [[1, 2]]),
        ('"a\n, b";c\n1;2\n', ("a\n, b", "c"), [[1, 2]]),
        ("sep=|\na|b\n1|2\n", ("a", "b"), [[1, 2]]),
        ("a\n1\n", ("a",), [[1]]),
    ],
)
def test_the_delimiter_is_one_that_all_of_the_first_lines_have(
    tmp_path: Path, text: str, columns: tuple[str, ...], rows: list[list[float]]
) -> None:
    (tmp_path / "t.csv").write_text(text)
    found = read_table(tmp_path / "t.csv")
    assert (found.columns, found.rows.tolist()) == (columns, rows)
