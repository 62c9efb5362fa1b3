"""The cells of a table as they are in its file, of which only those without a value are replaced.

What a model learned of a table is less than its file: other columns, the spelling of each cell, and
categories that the model never saw. A table whose holes are filled keeps all of it.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.data.conditioning import join_condition, reading_spec, whole_columns
from vae_cli.data.dataset import Spec
from vae_cli.data.spelling import significant_digits, spell
from vae_cli.data.table_writing import to_typed, to_values
from vae_cli.files import escape_formula

if TYPE_CHECKING:
    import pyarrow as pa

    from vae_cli.data.table_source import TableSource

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@final
class TableCells:
    """All cells of a table, and what those mean that a model learned.

    Args:
        source: of the table.
        spec: of what the model learned.

    Attributes:
        columns: that the model learned.
        rows: what their cells mean, float64 `(N, D)`; NaN is a hole, or a category that the model
            has never seen.
        condition: what the model is told of each row, float64 `(N, C)`; None if it is told nothing.
        holes: which cells of each of these columns have no value.
        ids: what the table calls its rows; empty if it has no column of ids.
        notes: what was assumed about the table, for the user.

    Raises:
        UsageError: the table cannot be read, or does not have the columns of the model.
    """

    def __init__(self, source: "TableSource", spec: Spec) -> None:
        from vae_cli.data.table_contents import choose_for_model, read_contents

        choice = choose_for_model(reading_spec(spec), source)
        rules = dataclasses.replace(choice.rules, missing="model")
        contents = read_contents(source, dataclasses.replace(choice, rules=rules))
        arrays: list[list[Any]] = [[] for _ in source.names]
        for batch in source.batches(source.names):
            for parts, array in zip(arrays, batch, strict=True):
                parts.append(array)
        self.source, self.columns, self.notes = source, spec.columns, contents.notes
        self.arrays = dict(zip(source.names, arrays, strict=True))
        names = choice.names[: len(spec.columns)]
        self.learned = {name: place for place, name in enumerate(names)}
        self.holes = [find_holes(self.arrays[name]) for name in names]
        labels = [contents.classes[label] for label in contents.labels.tolist()]
        known = join_condition(contents.rows, labels, spec, source)
        columns = whole_columns(spec, known.shape[1])
        constant = [0.0 if column.kind == "constant" else math.nan for column in columns]
        whole = torch.tensor(constant, dtype=torch.float64).repeat(len(self.holes[0]), 1)
        whole[contents.numbers] = known  # those without any value are not read
        self.rows = whole[:, : len(names)]
        self.condition = whole[:, len(names) :] if spec.condition else None
        self.ids = [text.strip() for text in self.texts(choice.id)] if choice.id else []

    @property
    def titles(self) -> list[str]:
        """The names of all columns, as they are in the file."""
        index = self.source.index_name
        return ["" if name == index else name for name in self.source.names]

    def fill(self, filled: Tensor) -> Iterator[tuple[str, ...]]:
        """The rows of cells with those that have no value taken from rows `(N, D)`."""
        return zip(*(self._spell(name, filled) for name in self.source.names), strict=True)

    def _spell(self, name: str, filled: Tensor) -> Sequence[str]:
        place = self.learned.get(name)
        if place is None:
            return self.texts(name)
        cells = list(self.texts(name))
        holes = np.flatnonzero(self.holes[place]).tolist()
        for hole, text in zip(holes, self.spell(place, filled[holes, place]), strict=True):
            cells[hole] = escape_formula(text)
        return cells

    def to_arrow(self, filled: Tensor) -> "pa.Table":
        """The rows with those cells that have no value taken from rows `(N, D)`, with types.

        The types are those of what the model learned. Other columns of a text stay texts, and other
        numbers are whole ones if all of them are.
        """
        import pyarrow as pa

        columns = [self._to_typed(name, filled) for name in self.source.names]
        return pa.table(columns, names=self.titles)

    def _to_typed(self, name: str, filled: Tensor) -> Any:
        import pyarrow as pa

        place = self.learned.get(name)
        if place is None:
            return narrow(pa.chunked_array(self.arrays[name]))
        column, holes, values = self.columns[place], self.holes[place], filled[:, place].numpy()
        if column.is_measured:
            rounded = np.where(holes, round_to_decimals(column, values), values)
            return to_typed(with_all_digits(column), rounded)
        cells = np.array([text.strip() for text in self.texts(name)], object)
        cells[holes] = self.spell(place, filled[holes, place])
        texts = [*column.categories, *cells]  # with the others, each draw has the same type
        return pa.array(to_values(texts)[len(column.categories) :])

    def spell(self, place: int, values: Tensor) -> list[str]:
        """Values `(M,)` of a learned column as its cells, with as many digits as those have."""
        digits = significant_digits(self.rows[:, place].numpy())
        return spell(self.columns[place], values.numpy(), self.source.decimal, digits)

    def texts(self, name: str) -> Sequence[str]:
        """The cells of a column: as they are in a text, or else spelled, and empty for a null."""
        from vae_cli.data.column_kinds import spell_value

        values = [value for array in self.arrays[name] for value in array.to_pylist()]
        if self.source.is_text:
            return [value or "" for value in values]
        if (place := self.learned.get(name)) is not None:
            return self.spell(place, self.rows[:, place])
        return ["" if value is None else escape_formula(spell_value(value)) for value in values]


def round_to_decimals(column: Column, values: np.ndarray) -> np.ndarray:
    """Values `(N,)` with as many decimals as the column has."""
    decimals = column.format.decimals
    return values if column.kind != "number" or decimals is None else values.round(decimals)


def with_all_digits(column: Column) -> Column:
    """The column whose values are written with all digits that they have."""
    if column.kind != "number":
        return column
    return dataclasses.replace(column, format=dataclasses.replace(column.format, decimals=None))


def narrow(cells: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Cells of a table of which nothing was learned: numbers as whole ones, if all of them are."""
    import pyarrow as pa

    if not pa.types.is_floating(cells.type):
        return cells
    try:
        return cells.cast(pa.int64())
    except pa.ArrowInvalid:
        return cells


def find_holes(arrays: Sequence[Any]) -> Mask:
    """Which cells of the parts of a column have no value, bool `(N,)`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from vae_cli.data.cell_arrays import to_mask, with_nulls

    found = [np.zeros(0, np.bool_)]
    for array in arrays:
        cells = with_nulls(array) if pa.types.is_string(array.type) else array
        found.append(to_mask(pc.is_null(cells, nan_is_null=True)))
    return np.concatenate(found)


def with_column(rows: Iterator[tuple[str, ...]], before: object) -> Iterator[tuple[object, ...]]:
    """Rows of cells after a cell that is the same for all of them."""
    return ((first, *row) for first, row in zip(repeat(before), rows))
