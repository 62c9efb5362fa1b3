"""Tables that are written: rows with the types, the formats and the digits of what was read.

`.csv` has the delimiter and the decimal sign of the file that was read, `.tsv` is separated
by tabs, and `.parquet` has a type for each column.
"""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from numpy.typing import ArrayLike

from vae_cli.data.columns import Column, free_name
from vae_cli.data.dataset import DEFAULT_TABLE, TableRules
from vae_cli.data.spelling import DATE_SIGNS, NEWEST, OLDEST, TIME_SIGNS, significant_digits, spell
from vae_cli.files import Writable, escape_formula, open_output, write_csv

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET, TSV = ".parquet", ".tsv"
CHUNK_ROWS = 1 << 16  # whose cells are texts at the same time
MICROSECONDS = 1e6  # in a second
LARGE = 2.0**63  # from which on a whole number is no int64
NO_TEXTS: Mapping[str, Sequence[str]] = {}


def write_table(
    path: Writable,
    columns: Sequence[Column],
    rows: ArrayLike,
    texts: Mapping[str, Sequence[str]] = NO_TEXTS,
    rules: TableRules = DEFAULT_TABLE,
) -> None:
    """Write rows under the names of their columns, after columns of texts.

    Args:
        path: ends in `.csv`, `.tsv` or `.parquet`.
        columns: what the numbers mean, and how they are spelled.
        rows: `(N, D)`, one number for each column.
        texts: columns before them, `N` texts by title. A title that a column has too gets another
            name; see `free_name`.
        rules: with the delimiter and the decimal sign.

    Raises:
        VAEError: the file cannot be written.
    """
    values = np.asarray(rows, np.float64)
    if path.suffix.lower() == PARQUET:
        write_parquet(path, to_arrow(columns, values, texts))
        return
    titles = [*_free_titles(texts, columns), *(column.name for column in columns)]
    delimiter = "\t" if path.suffix.lower() == TSV else rules.delimiter
    write_csv(path, titles, _spell_rows(columns, values, texts, rules.decimal), delimiter)


def write_parquet(path: Writable, table: "pa.Table") -> None:
    """Write a table of Arrow.

    Raises:
        VAEError: the file cannot be written.
    """
    with open_output(path) as file:
        importlib.import_module("pyarrow.parquet").write_table(table, file)


def _spell_rows(
    columns: Sequence[Column], rows: np.ndarray, texts: Mapping[str, Sequence[str]], decimal: str
) -> Iterator[Sequence[str]]:
    """The cells of each row; the cells of a column are spelled together, which is much faster."""
    digits = [significant_digits(values) for values in rows.T]
    safe = [_escape_texts(column) for column in columns]
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = slice(start, start + CHUNK_ROWS)
        before = [list(map(escape_formula, column[chunk])) for column in texts.values()]
        cells = [
            spell(column, values, decimal, count)
            for column, values, count in zip(safe, rows[chunk].T, digits, strict=True)
        ]
        yield from zip(*before, *cells, strict=True)


def _escape_texts(column: Column) -> Column:
    return dataclasses.replace(column, categories=tuple(map(escape_formula, column.categories)))


def _free_titles(texts: Mapping[str, Sequence[str]], columns: Sequence[Column]) -> list[str]:
    return [free_name(title, [column.name for column in columns]) for title in texts]


def to_arrow(
    columns: Sequence[Column], rows: ArrayLike, texts: Mapping[str, Sequence[str]] = NO_TEXTS
) -> "pa.Table":
    """Rows `(N, D)` as an Arrow table, in which each column has a type; after columns of texts.

    A missing value is null. Truth values and whole numbers that are categories are no texts here.
    """
    import pyarrow as pa

    values = np.asarray(rows, np.float64)
    before = [pa.array(column, pa.string()) for column in texts.values()]
    typed = [to_typed(column, cells) for column, cells in zip(columns, values.T, strict=True)]
    names = [*_free_titles(texts, columns), *(column.name for column in columns)]
    return pa.table([*before, *typed], names=names)


def to_records(columns: Sequence[Column], rows: ArrayLike) -> list[dict[str, Any]]:
    """Rows `(N, D)` for JSON: the typed values by column; a date is its text, and a hole None."""
    values, cells = np.asarray(rows, np.float64), []
    for column, numbers in zip(columns, values.T, strict=True):
        found = to_typed(column, numbers).to_pylist()
        if column.kind == "date":
            texts = spell(column, numbers)
            found = [None if one is None else text for one, text in zip(found, texts, strict=True)]
        cells.append(found)
    names = [column.name for column in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]


def to_typed(column: Column, cells: np.ndarray) -> "pa.Array":
    """The values of a column `(N,)` as an array with a type; a missing value is null."""
    import pyarrow as pa

    is_missing = np.isnan(cells)
    known = np.where(is_missing, 0, cells)
    match column.kind:
        case "number":
            decimals = column.format.decimals
            return pa.array(known if decimals is None else known.round(decimals), mask=is_missing)
        case "integer":
            whole = known.round()
            is_large = np.abs(whole).max(initial=0) >= LARGE
            return pa.array(whole if is_large else whole.astype(np.int64), mask=is_missing)
        case "date":
            microseconds = (known.clip(OLDEST, NEWEST) * MICROSECONDS).round()
            instants = pa.array(microseconds.astype(np.int64), mask=is_missing)
            return instants.cast(pa.timestamp("us")).cast(_date_type(column.format.date))
        case "category" | "constant":
            codes = pa.array(known.astype(np.int64), mask=is_missing)
            return pa.array(to_values(column.categories)).take(codes)
        case _:
            assert_never(column.kind)


def _date_type(pattern: str) -> "pa.DataType":
    """The type of dates with a pattern: days, times of a day, or instants."""
    import pyarrow as pa

    has_day, has_time = DATE_SIGNS.search(pattern), TIME_SIGNS.search(pattern)
    if has_day and not has_time:
        return pa.date32()
    return pa.time64("us") if has_time and not has_day else pa.timestamp("us")


def to_values(texts: Sequence[str]) -> list[Any]:
    """Categories as truth values or numbers, if all of them are the texts of such, or as texts."""
    if {text.lower() for text in texts} <= {"true", "false"}:
        return [text.lower() == "true" for text in texts]
    for kind in (int, float):
        try:
            values = [kind(text) for text in texts]
        except ValueError:
            continue
        if list(map(str, values)) == list(texts):  # not 007, which is a name
            return values
    return list(texts)
