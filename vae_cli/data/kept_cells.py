"""What the cells of a text were read as while the kinds of its columns were found.

Whoever reads the rows afterwards need not divide the file into cells and parse them once more. The
values lie where the rows will be, so they take no memory of their own.
"""

from collections.abc import Sequence
from typing import final

import numpy as np

from vae_cli.data.cell_arrays import Array

MAX_KEPT = 2**27  # values; with more of them, a file is read again
GROWTH = 8  # a part of the rows, for which there is room when more come


@final
class KeptCells:
    """The values of the cells of a table: one row of float64 after the other.

    Args:
        names: of the columns.

    Attributes:
        rows: float64 `(capacity, W)`; of texts, their places among the different ones.
        count: the number of rows.
        texts: the different texts of each column that is kept; empty if it has numbers.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.rows: Array = np.empty((0, len(names)))
        self.count = 0
        self.texts: dict[str, Sequence[str]] = {}
        self.places = {name: place for place, name in enumerate(names)}

    def make_room(self, count: int) -> None:
        """Have room for a number of rows, or for none if they are too many."""
        width = len(self.places)
        self.count = max(self.count, count)
        if self.is_full:
            self.rows = np.empty((0, width))
        elif count > len(self.rows):
            capacity = max(count, len(self.rows) + len(self.rows) // GROWTH)
            self.rows.resize((capacity, width), refcheck=False)

    @property
    def is_full(self) -> bool:
        """Whether there are so many values that none is kept."""
        return self.count * len(self.places) > MAX_KEPT

    def put(self, name: str, start: int, values: Array) -> None:
        """Keep the next values of a column, from a row on."""
        if not self.is_full:
            self.rows[start : start + len(values), self.places[name]] = values

    def finish(self, name: str, texts: Sequence[str]) -> None:
        """A column is kept as a whole."""
        if not self.is_full:
            self.texts[name] = texts

    def take(self, names: Sequence[str], start: int, count: int) -> dict[str, Array]:
        """A copy of the values of some columns in some rows."""
        places = [self.places[name] for name in names]
        block = self.rows[start : start + count, places]
        return dict(zip(names, block.T, strict=True))
