"""The columns of a table: their names, and which of them are read."""

import difflib
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from vae_cli.data.cells import is_missing, is_number
from vae_cli.data.dataset import Missing, Spec, TableRules
from vae_cli.errors import UsageError, list_some
from vae_cli.files import unescape_formula

MAX_NAMED = 5  # columns in a message


class Choice(NamedTuple):
    """Which columns of a table are read, and how.

    Attributes:
        columns: the indices of the columns of numbers, in the order in which they are wanted.
        label: the index of the column of the classes; None if it is not read.
        missing: what happens if a value is missing.
        for_training: whether an error names the flags of a training.
    """

    columns: Sequence[int]
    label: int | None
    missing: Missing
    for_training: bool


Choose = Callable[[tuple[str, ...], Path], Choice]  # (names of all columns, file) to the choice


def choose_for_training(rules: TableRules, columns: tuple[str, ...], path: Path) -> Choice:
    """All columns but those that the settings take out.

    Raises:
        UsageError: there is no such column, or none is left to learn.
    """
    label, dropped = rules.label, rules.dropped
    for name in [label] if label else []:
        _require_column("--label", name, columns, path)
    for name in dropped:
        _require_column("--drop", name, columns, path)
    if label in dropped:
        raise UsageError(f"--label {label} and --drop {label}: give only one of them")
    kept = [place for place, name in enumerate(columns) if name not in {label, *dropped}]
    if not kept:
        raise UsageError(f"no column of {path} is left to learn: leave out --label or --drop")
    place = columns.index(label) if label else None
    return Choice(kept, place, rules.missing, for_training=True)


def choose_for_model(spec: Spec, columns: tuple[str, ...], path: Path) -> Choice:
    """The columns that a model learned, in its order, and its column of classes if it is there.

    A table may have the other columns of the model's own table, and need not have them.

    Raises:
        UsageError: the columns are not those of the model.
    """
    rules, count = spec.table, len(spec.columns)
    ignored = {rules.label, *rules.dropped}
    learned = [name for name in columns if name not in ignored]
    if sorted(learned) == sorted(spec.columns):
        places = [columns.index(name) for name in spec.columns]
        label = columns.index(rules.label) if rules.label in columns else None
        return Choice(places, label, rules.missing, for_training=False)
    unnamed = default_columns(len(columns))
    if unnamed not in {columns, spec.columns} or len(columns) != count:
        lacking = [name for name in spec.columns if name not in columns]
        more = [name for name in learned if name not in spec.columns]
        problem = f"lacks {lacking[0]}" if lacking else f"has {more[0]}, which is not among them"
        raise UsageError(f"{path} {problem}: the model learned {count} columns of {spec.name}")
    return Choice(range(count), None, rules.missing, for_training=False)


def name_columns(first: Sequence[str], delimiter: str, path: Path) -> tuple[str, ...] | None:
    """The names of the columns in the first row of a file; None if it is a row of data.

    A column without a name gets the name that it would have without a header.

    Raises:
        UsageError: several columns have the same name.
    """
    numbers = [cell.strip() for cell in first if is_number(cell, delimiter)]
    if numbers and all(is_number(cell, delimiter) or is_missing(cell) for cell in first):
        return None
    cells = zip(first, default_columns(len(first)), strict=True)
    names = tuple(unescape_formula(cell.strip()) or default for cell, default in cells)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        listed = list_some(repeated, MAX_NAMED)
        raise UsageError(f"{path} has several columns with the same name: {listed}; rename them")
    if any(not number.isdigit() for number in numbers):  # the name of a column may be a year
        warnings.warn(
            f"the first line of {path.name} is taken for the names of the columns, although it has "
            f"numbers ({list_some(numbers, MAX_NAMED)}); if it is a row, add a line of names",
            stacklevel=2,
        )
    return names


def default_columns(count: int) -> tuple[str, ...]:
    """The names of columns in a table without a header."""
    return tuple(f"column {n}" for n in range(1, count + 1))


def _require_column(flag: str, name: str, columns: Sequence[str], path: Path) -> None:
    if name not in columns:
        near = difflib.get_close_matches(name, columns, 1, cutoff=0)[0]
        raise UsageError(f"{flag} {name}: {path} has no such column; did you mean {near}?")
