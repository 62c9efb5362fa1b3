"""The columns of a table: their names, and which of them are read."""

import difflib
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple

from vae_cli.data.cells import is_missing, split_unit, to_number
from vae_cli.data.dataset import Missing, Spec, TableRules
from vae_cli.data.memory import MAX_COLUMNS
from vae_cli.errors import UsageError, list_some, mark
from vae_cli.files import unescape_formula

MAX_NAMED = 5  # columns in a message
PANDAS_INDEX = re.compile(r"Unnamed: 0(\.[0-9]+)?")  # an index that was read as a column


class Choice(NamedTuple):
    """Which columns of a table are read, and how.

    Attributes:
        columns: the indices of the columns of numbers, in the order in which they are wanted.
        label: the index of the column of the classes; None if it is not read.
        missing: what happens if a value is missing.
        for_training: whether an error names the settings of a training.
    """

    columns: Sequence[int]
    label: int | None
    missing: Missing
    for_training: bool


class Layout(NamedTuple):
    """The columns of a file, from its first rows.

    Attributes:
        names: of the columns.
        index_name: of a column that only numbers the rows; empty if there is none.
        is_header: whether the first row holds the names.
        empty: the number of columns after them that have neither a name nor values.
    """

    names: tuple[str, ...]
    index_name: str = ""
    is_header: bool = False
    empty: int = 0

    def describe(self, choice: Choice) -> Iterator[str]:
        """What was assumed about the columns, for the user who chose some of them."""
        places = [*choice.columns, *([] if choice.label is None else [choice.label])]
        read = {self.names[place] for place in places}
        if self.index_name and self.index_name not in read:
            yield f"{self.index_name} is taken for an index and left out; rename it to learn it"
        if self.empty:
            columns = "1 column is" if self.empty == 1 else f"{self.empty:,} columns are"
            yield f"{columns} left out at the end, without a name and without values"


Choose = Callable[[Layout, Path], Choice]


def choose_for_training(
    rules: TableRules, layout: Layout, path: Path, *, learns_index: bool = False
) -> Choice:
    """All columns but the index, unless it is learned, and those that the settings take out.

    Raises:
        UsageError: there is no such column, or none is left to learn.
    """
    label, dropped, columns = rules.label, rules.dropped, layout.names
    for name in [label] if label else []:
        _require_column("data.label", name, columns, path)
    for name in dropped:
        _require_column("data.drop", name, columns, path)
    if label in dropped:
        raise UsageError(
            f"{mark('data.label')} {label} and {mark('data.drop')} {label}: give only one of them"
        )
    ignored = {label, *dropped, *([] if learns_index else [layout.index_name])}
    kept = [place for place, name in enumerate(columns) if name not in ignored]
    if not kept:
        raise UsageError(
            f"no column of {path} is left to learn: leave out {mark('data.label')} or "
            f"{mark('data.drop')}"
        )
    place = columns.index(label) if label else None
    return Choice(kept, place, rules.missing, for_training=True)


def choose_for_model(spec: Spec, layout: Layout, source: object) -> Choice:
    """The columns that a model learned, in its order, and its column of classes if it is there.

    A table may have the other columns of the model's own table, and need not have them.

    Raises:
        UsageError: the columns are not those of the model.
    """
    rules, columns = spec.table, layout.names
    ignored = {rules.label, *rules.dropped} - {""}
    learned = [name for name in columns if name not in ignored]
    without_index = [name for name in learned if name != layout.index_name]
    for names in (learned, without_index):
        if sorted(names) == sorted(spec.column_names):
            places = [columns.index(name) for name in spec.column_names]
            label = columns.index(rules.label) if rules.label in columns else None
            return Choice(places, label, rules.missing, for_training=False)
    unnamed = default_columns(len(spec.column_names))
    for names in (learned, without_index):
        if unnamed in {tuple(names), spec.column_names} and len(names) == len(unnamed):
            places = [columns.index(name) for name in names]
            return Choice(places, None, rules.missing, for_training=False)
    lacking = [name for name in spec.column_names if name not in without_index]
    more = [name for name in without_index if name not in spec.column_names]
    problem = f"lacks {lacking[0]}" if lacking else f"has {more[0]}, which is not among them"
    count = len(spec.column_names)
    raise UsageError(f"{source} {problem}: the model learned {count} columns of {spec.name}")


def lay_out(rows: Sequence[Sequence[str]], delimiter: str, path: Path) -> Layout:
    """The columns of a file with these first rows.

    A column without a name gets the name that it would have without a header. The first one is the
    index that pandas and R write, unless it is the only one. Empty cells at the end of all rows,
    also of the header, are no column.

    Raises:
        UsageError: there are too many columns, or several of them have the same name.
    """
    first, *others = rows
    if len(first) > MAX_COLUMNS:
        raise UsageError(f"{path} has {len(first):,} columns: at most {MAX_COLUMNS:,} are possible")
    is_header = not is_data(rows, delimiter)
    if is_header and others and all(len(row) == len(first) + 1 and row[-1] for row in others):
        first = ["", *first]  # R leaves out the name of its index
    width = min(len(first), max(map(_last_place, (first, *others))))
    names = name_columns(first[:width], path) if is_header else default_columns(width)
    index = names[0] if is_header and width > 1 and is_index(first[0]) else ""
    return Layout(names, index, is_header, len(first) - width)


def _last_place(row: Sequence[str]) -> int:
    """The number of cells up to the last one that is not empty."""
    return next((place for place in range(len(row), 0, -1) if row[place - 1].strip()), 0)


def is_index(name: str) -> bool:
    """Whether the first column, if this is its name, only numbers the rows."""
    return not name.strip() or PANDAS_INDEX.fullmatch(name.strip()) is not None


def is_data(rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether the first row of a file is a row of numbers, and not the names of the columns.

    Names may look like numbers with a unit: `5%` and `95%` of columns of quantiles. They are data
    only if the cells below have the unit too.
    """
    first, *others = rows
    numbers = [cell for cell in first if to_number(cell, delimiter) is not None]
    below = chain(others[0] if others else first, repeat(""))
    return bool(numbers) and all(
        is_missing(cell) or (cell in numbers and _unit(other) in {_unit(cell), None})
        for cell, other in zip(first, below, strict=False)
    )


def _unit(cell: str) -> str | None:
    """The unit of a number; None if its value is missing."""
    return None if is_missing(cell) else split_unit(cell.strip()).unit


def name_columns(first: Sequence[str], path: Path) -> tuple[str, ...]:
    """The names of the columns in the first row of a file.

    Raises:
        UsageError: several columns have the same name.
    """
    cells = zip(first, default_columns(len(first)), strict=True)
    names = tuple(unescape_formula(cell.strip()) or default for cell, default in cells)
    require_distinct(names, path)
    numbers = [cell.strip() for cell in first if to_number(cell, ";") is not None]
    if any(not number.isdigit() for number in numbers):  # the name of a column may be a year
        warnings.warn(
            f"the first line of {path.name} is taken for the names of the columns, although it has "
            f"numbers ({list_some(numbers, MAX_NAMED)}); if it is a row, add a line of names",
            stacklevel=2,
        )
    return names


def require_distinct(names: Sequence[str], source: object) -> None:
    """Check that all columns have different names.

    Raises:
        UsageError: some have the same.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        listed = list_some(repeated, MAX_NAMED)
        raise UsageError(f"{source} has several columns with the same name: {listed}; rename them")


def default_columns(count: int) -> tuple[str, ...]:
    """The names of columns in a table without a header."""
    return tuple(f"column {n}" for n in range(1, count + 1))


def _require_column(key: str, name: str, columns: Sequence[str], path: Path) -> None:
    if name not in columns:
        near = difflib.get_close_matches(name, columns, 1, cutoff=0)[0]
        raise UsageError(f"{mark(key)} {name}: {path} has no such column; did you mean {near}?")
