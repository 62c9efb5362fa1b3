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

from vae_cli.data.dataset import Divided, Spec, Split
from vae_cli.data.split import divide
from vae_cli.errors import UsageError
from vae_cli.files import write_whole

SUFFIXES = (".csv", ".tsv")


@final
class Table(Divided):
    """The rows of a table, its columns all of numbers.

    Args:
        path: ends in `.csv` or `.tsv`; a first row that is not all numbers names the columns.
        like: vectors whose columns are looked for, in their order; None takes what there is.
        test_fraction: the expected share of the rows that is held out, by their contents.

    Raises:
        UsageError: the file is missing or empty, a cell is not a number, or a column lacks.
    """

    def __init__(self, path: Path, *, like: Spec | None = None, test_fraction: float) -> None:
        columns, self.rows = read(path) if like is None else (like.columns, read_like(path, like))
        self.spec = Spec(path.stem, (len(columns),), columns=columns)
        self.test_fraction = test_fraction

    def divide(self) -> tuple[Split, Split]:
        """Tell the two parts by the rows' contents.

        Raises:
            UsageError: one of the parts would be empty.
        """
        keys = (row.numpy().tobytes() for row in self.rows)
        train, test = divide(keys, self.test_fraction, self.spec.name)
        none = torch.empty(0, dtype=torch.int64)
        return Split(self.rows, train, none), Split(self.rows, test, none)


def read(path: Path) -> tuple[tuple[str, ...], Tensor]:
    """The names of a table's columns, and its rows as float64 `(N, D)`.

    Raises:
        UsageError: the file is missing or empty, or a cell is not a number; names its place.
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
        columns = unnamed(len(first))
    else:
        columns = tuple(cell.strip() for cell in first)
        lines = lines[1:]
    if not lines:
        raise UsageError(f"{path} has a header and no rows")
    values = [_values(row, columns, f"{path}, row {n}") for n, row in lines]
    return columns, torch.tensor(values, dtype=torch.float64)


def read_like(path: Path, spec: Spec) -> Tensor:
    """The rows `(N, D)` of a table, its columns in the order in which a spec has them.

    Raises:
        UsageError: as `read` does, or the columns are others.
    """
    (columns, rows), count = read(path), len(spec.columns)
    if sorted(columns) == sorted(spec.columns):
        return rows[:, [columns.index(name) for name in spec.columns]]
    if unnamed(len(columns)) not in {columns, spec.columns} or len(columns) != count:
        missing = [name for name in spec.columns if name not in columns]
        lack = f"lacks {missing[0]}" if missing else f"has {columns[-1]}, which is not among them"
        raise UsageError(f"{path} {lack}: the model learned {count} columns of {spec.name}")
    return rows


def unnamed(count: int) -> tuple[str, ...]:
    """What columns are called where nothing is said."""
    return tuple(f"column {n}" for n in range(1, count + 1))


def write(path: Path, columns: Sequence[str], rows: ArrayLike) -> None:
    """Write numbers `(N, D)` under their columns' names, with seven significant digits.

    Raises:
        VAEError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{value:.7g}" for value in row] for row in np.asarray(rows).tolist())
    write_whole(path, text.getvalue().encode())


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
    """A finite number, or None; not every text that Python takes is one in a table."""
    try:
        value = float(cell) if "_" not in cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
