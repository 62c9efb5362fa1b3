"""The rows of a table, collected one after another in arrays of 8 bytes a value."""

from array import array
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import NamedTuple, final

import torch
from torch import Tensor

from vae_cli.data.budget import MAX_CLASSES, require_items, require_memory
from vae_cli.data.cells import CellParser, TextCellError, spell_name, to_number
from vae_cli.data.table_columns import Choice
from vae_cli.errors import MAX_SHOWN, UsageError, shorten

NO_CLASS = "(none)"  # of a row whose cell in the column of the classes is empty
MAX_CLASS_NAME = 1000  # characters
MISSING_ADVICE = {  # in a training, and for a trained model
    True: "--missing drop leaves out such rows, --missing mean fills them in",
    False: "fill it in, because the model was trained with --missing error",
}
CHECKED_ROWS = 4096  # between two checks of the budgets


class TableContents(NamedTuple):
    """What is in the file of a table.

    Attributes:
        columns: the names of the columns of numbers.
        rows: the numbers, float64 `(N, D)`; NaN if a value is missing.
        numbers: int64 `(N,)`, which row of the file each of them is, from 0, without the header.
        labels: int64 `(N,)`, indices into the classes; `(0,)` if there is no such column.
        classes: the texts in the column of the classes, in their order.
        left_out: the number of rows that were left out, because a value is missing.
        notes: what was assumed about the file, for the user.
    """

    columns: tuple[str, ...]
    rows: Tensor
    numbers: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    left_out: int
    notes: tuple[str, ...] = ()


@final
class RowCollector:
    """Collects the rows of a table.

    Args:
        path: of the table, for messages.
        columns: the names of all its columns.
        choice: which of them are read.
        delimiter: of the cells.
    """

    def __init__(
        self, path: Path, columns: tuple[str, ...], choice: Choice, delimiter: str
    ) -> None:
        self.path, self.columns, self.choice = path, columns, choice
        self.reads_all = list(choice.columns) == list(range(len(columns)))
        self.parser = CellParser(delimiter)
        self.values, self.numbers, self.labels = array("d"), array("q"), array("q")
        self.codes: dict[str, int] = {}
        self.seen = 0

    def add(self, number: int, row: Sequence[str]) -> None:
        """Add a row; `number` is its place in the file, for messages.

        Raises:
            UsageError: it has too few or too many cells, a cell is not a number, or the rows are
                too many or too large.
        """
        if len(row) != len(self.columns):
            row = self._cut(number, row)
        cells = row if self.reads_all else [row[place] for place in self.choice.columns]
        values = self.parser.parse_row(cells)
        if values is None:
            values = list(self._parse_cells(number, cells))
            is_left_out = self.choice.missing == "drop" and any(map(isnan, values))
            values = None if is_left_out else values
        if values is not None:
            self._keep(values, row)
        self.seen += 1
        if self.seen % CHECKED_ROWS == 0:
            self._require_affordable()

    def _cut(self, number: int, row: Sequence[str]) -> Sequence[str]:
        """A row without the empty cells after its last column."""
        count = len(self.columns)
        if len(row) < count or any(map(str.strip, row[count:])):
            raise UsageError(f"{self._name(number)} has {len(row)} cells, not {count}")
        return row[:count]

    def _keep(self, values: Sequence[float], row: Sequence[str]) -> None:
        self.values.extend(values)
        if self.choice.missing == "drop":
            self.numbers.append(self.seen)
        if self.choice.label is not None:
            name = row[self.choice.label].strip() or NO_CLASS
            if len(name) > MAX_CLASS_NAME:
                column = self.columns[self.choice.label]
                raise UsageError(
                    f"{self.path}: a class in column {column} has over {MAX_CLASS_NAME:,} "
                    "characters: leave the column out with --drop"
                )
            self.labels.append(self.codes.setdefault(name, len(self.codes)))

    def _parse_cells(self, number: int, cells: Sequence[str]) -> Iterator[float]:
        """The values of a row, one by one.

        Raises:
            UsageError: a cell is not a number, or has no value and that is an error.
        """
        for place, cell in zip(self.choice.columns, cells, strict=True):
            try:
                value = self.parser.parse(cell, place)
            except ValueError as error:
                advice = self._advise_text(place) if isinstance(error, TextCellError) else ""
                raise UsageError(f"{self._name(number, place)}: {error}{advice}") from error
            if isnan(value) and self.choice.missing == "error":
                advice = MISSING_ADVICE[self.choice.for_training]
                raise UsageError(f"{self._name(number, place)}: a value is missing: {advice}")
            yield value

    def _advise_text(self, place: int) -> str:
        """What to do about a column of texts."""
        name = self.columns[place]
        if not self.choice.for_training:
            return ""
        if len(name) > MAX_SHOWN:
            return ": give the column a short name, and name it with --label or --drop"
        label, drop = spell_name(name), spell_name(name, in_list=True)
        return f": try --label {label} if its texts are classes, or --drop {drop}"

    def _name(self, number: int, place: int | None = None) -> str:
        """A row, or a cell, for messages."""
        row = f"{self.path}, row {number}"
        return row if place is None else f"{row}, column {shorten(self.columns[place])}"

    def _require_affordable(self) -> None:
        require_memory(self.values.itemsize * len(self.values), self.path)
        require_items(self.seen, self.path)
        if len(self.codes) > MAX_CLASSES:
            column = self.columns[self.choice.label or 0]
            raise UsageError(f"column {column} of {self.path} has over {MAX_CLASSES:,} classes")

    def finish(self) -> TableContents:
        """All rows, without a copy.

        Raises:
            UsageError: there are none.
        """
        if not self.seen:
            raise UsageError(f"{self.path} has a header and no rows")
        if not self.values:
            raise UsageError(f"{self.path}: a value is missing in every row, so none is left")
        self._require_affordable()
        columns = tuple(self.columns[place] for place in self.choice.columns)
        rows = torch.frombuffer(self.values, dtype=torch.float64).reshape(-1, len(columns))
        numbers = torch.arange(len(rows))
        if self.choice.missing == "drop":
            numbers = torch.frombuffer(self.numbers, dtype=torch.int64)
        labels, classes = sort_classes(self.labels, self.codes)
        left_out, note = self.seen - len(rows), self.parser.note(self.columns)
        notes = (note,) if note else ()
        return TableContents(columns, rows, numbers, labels, classes, left_out, notes)


def sort_classes(labels: "array[int]", codes: dict[str, int]) -> tuple[Tensor, tuple[str, ...]]:
    """The labels and names of classes in the order of their numbers, or else of their names.

    Args:
        labels: the code of each row.
        codes: the code of each name.
    """
    if not codes:
        return torch.empty(0, dtype=torch.int64), ()
    names = sorted(codes, key=_number_or_name)
    places = torch.empty(len(codes), dtype=torch.int64)
    for place, name in enumerate(names):
        places[codes[name]] = place
    return places[torch.frombuffer(labels, dtype=torch.int64)], tuple(names)


def _number_or_name(name: str) -> tuple[bool, float, str]:
    """A key that sorts numbers before names, and 2 before 10."""
    number = to_number(name, ",")
    return number is None, number or 0.0, name
