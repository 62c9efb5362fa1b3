"""Tables of numbers: comma-separated (`.csv`, also with semicolons) or tab-separated (`.tsv`)."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.dataset import Spec, Split, UndividedDataset
from vae_cli.data.held_out import divide
from vae_cli.errors import UsageError
from vae_cli.files import unescape_formula, write_csv

FLOAT32_DIGITS, CONSTANT_DIGITS, FLOAT64_DIGITS = 7, 12, 17  # significant digits of a number


@final
class Table(UndividedDataset):
    """The rows of a table in which every column holds numbers.

    Args:
        path: ends in `.csv` or `.tsv`; a first row that is not all numbers names the columns.
        like: a spec whose columns are read, in its order; None reads all columns of the file.
        test_fraction: the expected share of the rows that is held out, by their contents.

    Raises:
        UsageError: the file is missing or empty, a cell is not a number, or a column is missing.
    """

    def __init__(self, path: Path, *, like: Spec | None = None, test_fraction: float) -> None:
        if like is None:
            columns, self.rows = read_table(path)
        else:
            columns, self.rows = like.columns, read_table_like(path, like)
        self.spec = Spec(path.stem, (len(columns),), columns=columns)
        self.test_fraction = test_fraction

    def divide(self) -> tuple[Split, Split]:
        """Divide the rows by a hash of their contents.

        Raises:
            UsageError: one of the parts would be empty.
        """
        keys = (row.numpy().tobytes() for row in self.rows)
        train, test = divide(keys, self.test_fraction, self.spec.name)
        none = torch.empty(0, dtype=torch.int64)
        return Split(self.rows, train, none), Split(self.rows, test, none)


def read_table(path: Path) -> tuple[tuple[str, ...], Tensor]:
    """The names of a table's columns, and its rows as float64 `(N, D)`.

    Raises:
        UsageError: the file is missing or empty, or a cell is not a number; the message
            gives its place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', 'no UTF-8')}") from error
    lines = [(n, row) for n, row in enumerate(_rows(text, path), 1) if any(map(str.strip, row))]
    if not lines:
        raise UsageError(f"{path} is empty")
    first = lines[0][1]
    if all(_number(cell) is not None for cell in first):
        columns = default_columns(len(first))
    else:
        columns = tuple(unescape_formula(cell.strip()) for cell in first)
        lines = lines[1:]
    if not lines:
        raise UsageError(f"{path} has a header and no rows")
    values = [_values(row, columns, f"{path}, row {n}") for n, row in lines]
    return columns, torch.tensor(values, dtype=torch.float64)


def read_table_like(path: Path, spec: Spec) -> Tensor:
    """The rows `(N, D)` of a table, with its columns in the order of a spec.

    Raises:
        UsageError: as in `read_table`, or the columns are not those of the spec.
    """
    (columns, rows), count = read_table(path), len(spec.columns)
    if sorted(columns) == sorted(spec.columns):
        return rows[:, [columns.index(name) for name in spec.columns]]
    if default_columns(len(columns)) not in {columns, spec.columns} or len(columns) != count:
        missing = [name for name in spec.columns if name not in columns]
        problem = (
            f"lacks {missing[0]}" if missing else f"has {columns[-1]}, which is not among them"
        )
        raise UsageError(f"{path} {problem}: the model learned {count} columns of {spec.name}")
    return rows


def default_columns(count: int) -> tuple[str, ...]:
    """The names of columns in a table without a header."""
    return tuple(f"column {n}" for n in range(1, count + 1))


def write_table(path: Path, columns: Sequence[str], rows: ArrayLike) -> None:
    """Write numbers `(N, D)` under the names of their columns.

    Each number has the digits that tell the values of its column apart: seven significant digits
    of the column's range, or more if a large mean comes before them.

    Raises:
        VAEError: the file cannot be written.
    """
    values = np.asarray(rows, np.float64)
    digits = [significant_digits(column) for column in values.T]
    cells = (
        [f"{value:.{count}g}" for value, count in zip(row, digits, strict=True)]
        for row in values.tolist()
    )
    write_csv(path, columns, cells, "\t" if path.suffix.lower() == ".tsv" else ",")


def significant_digits(column: np.ndarray) -> int:
    """How many digits tell the values of a column apart: 7, or more if its mean is large."""
    largest, spread = float(np.abs(column).max()), float(np.ptp(column))
    if spread == 0:
        return CONSTANT_DIGITS
    return min(FLOAT32_DIGITS + int(math.log10(max(largest / spread, 1))), FLOAT64_DIGITS)


def _rows(text: str, path: Path) -> list[list[str]]:
    head = text[: text.find("\n")] if "\n" in text else text
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in head else ","
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UsageError(f"{path} is not a table: {error}") from error


def _values(row: list[str], columns: Sequence[str], where: str) -> list[float]:
    if len(row) != len(columns):
        raise UsageError(f"{where} has {len(row)} cells, not {len(columns)}")
    values = []
    for name, cell in zip(columns, row, strict=True):
        value = _number(cell)
        if value is None:
            what = f"{cell.strip()!r} is not a number" if cell.strip() else "a value is missing"
            raise UsageError(f"{where}, column {name}: {what}")
        values.append(value)
    return values


def _number(cell: str) -> float | None:
    """A finite number, or None. Python also accepts `1_000`, which is not a number in a table."""
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
