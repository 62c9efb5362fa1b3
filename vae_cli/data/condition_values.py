"""The conditions that somebody types: names of classes, or values of columns, as rows of numbers.

    "Bag"                               every item is a bag
    ["Bag", "Coat", None]               each item has its own; None is not known
    {"sex": "F", "age": [30, 40]}       columns by name, one value for all or one for each item
    a frame with these columns          in which a cell without a value is not known
    an array of numbers (N, C)          rows as the data have them: `InMemory.condition`

Values are texts as in the file, or numbers and dates of Python. A column that is not named is not
known.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.cells import NO_CLASS, is_missing
from vae_cli.data.columns import Column
from vae_cli.data.conditions import read_exact
from vae_cli.data.table import is_frame
from vae_cli.errors import UsageError, join_or, mark, plural, shorten


def condition_rows(columns: Sequence[Column], y: Any, count: int, key: str = "y") -> Tensor:
    """The conditions of some items: float64 `(count, C)`, with NaN for what is not known.

    Args:
        columns: what a model is told.
        y: see above.
        count: the number of items.
        key: what says it, for messages.

    Raises:
        UsageError: a column or a value is not known, or there is not one for each item.

    Example:
        >>> label = Column(name="label", kind="category", categories=("Bag", "Coat"))
        >>> condition_rows([label], ["coat", None], 2).tolist()
        [[1.0], [nan]]
    """
    if isinstance(y, Tensor | np.ndarray) and np.asarray(y).dtype.kind in "fiu":
        return _take_numbers(columns, y, count)
    named = _by_name(y) if is_frame(y) else {_only_name(columns): y}
    places = {column.name: place for place, column in enumerate(columns)}
    rows = torch.full((count, len(columns)), torch.nan, dtype=torch.float64)
    for name, values in named.items():
        if name not in places:
            near = difflib.get_close_matches(str(name), places, 1, cutoff=0)[0]
            raise UsageError(
                f"{mark(key)} {shorten(str(name))}: the model was not told it; did you mean {near}?"
            )
        rows[:, places[name]] = _read_column(columns[places[name]], values, count, key)
    return rows


def _take_numbers(columns: Sequence[Column], y: Any, count: int) -> Tensor:
    """Rows that are numbers already.

    Raises:
        UsageError: they have another shape, or the number of a category is none of it.
    """
    rows = torch.as_tensor(np.asarray(y)).double()
    if rows.shape != (count, len(columns)):
        shape = "x".join(map(str, rows.shape))
        raise UsageError(
            f"y of {shape}: numbers are rows of {count:,}x{len(columns)}, as the data "
            "have them; give names instead"
        )
    for column, values in zip(columns, rows.T, strict=True):
        codes = values[~values.isnan()]
        whole = (codes >= 0) & (codes < len(column.categories)) & (codes == codes.floor())
        if not column.is_measured and not whole.all():
            raise UsageError(f"y: {float(codes[~whole][0]):g} is no {column.name}")
    return rows


def _only_name(columns: Sequence[Column]) -> str:
    """The name of the only column.

    Raises:
        UsageError: there are several.
    """
    names = [column.name for column in columns]
    if len(names) > 1:
        raise UsageError(f"y: say of which columns these are: {join_or(names)}")
    return names[0]


def _by_name(y: Any) -> dict[str, Any]:
    """The values of each column of a mapping or a frame."""
    if isinstance(y, Mapping):
        return dict(y)
    from vae_cli.data.table_source import open_frame

    table = open_frame(y).table
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _read_column(column: Column, values: Any, count: int, key: str) -> Tensor:
    """One number for each item.

    Raises:
        UsageError: there are more or fewer values, or one is no value of the column.
    """
    is_one = isinstance(values, str) or not isinstance(values, Iterable)
    cells = [values] * count if is_one else list(values)
    if len(cells) != count:
        given = plural(len(cells), "value")
        raise UsageError(f"{mark(key)} {shorten(column.name)}: {given} for {plural(count, 'item')}")
    known: dict[Any, float] = {}  # most cells are like others
    for cell in cells:
        if cell not in known:
            known[cell] = _read_cell(column, cell, key)
    return torch.tensor([known[cell] for cell in cells], dtype=torch.float64)


def _read_cell(column: Column, cell: Any, key: str) -> float:
    """The number of a cell; NaN if it has no value."""
    if cell is None or cell != cell or cell == NO_CLASS:  # noqa: PLR0124  NaN
        return torch.nan
    if isinstance(cell, str) and cell not in column.categories and is_missing(cell):
        return torch.nan
    return read_exact(column, cell, key)
