"""Rows of a table."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.source import TABLE_SUFFIXES as READABLE_SUFFIXES
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import column_statistics, require_learnable
from vae_cli.data.table import free_name, read_table_like, write_table
from vae_cli.errors import UsageError, list_some
from vae_cli.files import Writable
from vae_cli.rendering import TABLE_SUFFIXES
from vae_cli.rendering.grid import BARE, Frame
from vae_cli.rendering.kind import NO_TEXTS, ItemKind, NamedItems, Summary

MAX_NAMED_CLASSES = 10  # in the line that `vae data` prints
SHOWN_DIGITS, MAX_DIGITS = 5, 15  # of a mean that `vae data` prints
MAX_VALUES = 20_000_000  # in a table that is generated: about 200 MB of text


@final
class Rows(ItemKind):
    """Rows `(N, D)` in the units of the data, written as CSV or TSV."""

    items_name = "rows of a table"
    output_suffixes = TABLE_SUFFIXES
    samples_noise = True
    preview_items = preview_samples = 100

    def read(
        self,
        path: Path,
        *,
        invert: bool,  # noqa: ARG002  rows have no inverse
        find_object: bool = False,
    ) -> NamedItems:
        """Read a table, with its columns in the order of the model."""
        if find_object:
            raise UsageError(f"<fit=object> is for pictures, not {path}: leave it out")
        if path.suffix.lower() not in READABLE_SUFFIXES:
            name = self.spec.name
            raise UsageError(f"{path}: {name} is a table; give a .csv, .tsv or .npy file of rows")
        rows, numbers, notes, labels = read_table_like(path, self.spec)
        names = [f"{path.name} {number}" for number in numbers.tolist()]
        texts = {"name": list(map(str, numbers.tolist()))} | ({"label": labels} if labels else {})
        return NamedItems(names, rows, [f"{path.name}: {note}" for note in notes], texts)

    def require_count(self, count: int, path: Path) -> None:
        """A table may have any number of rows."""

    def plan_sheet(
        self,
        count: int,
        *,
        page: int,
        group: int,
        scale: int | None,
        gap: int | None,
    ) -> None:
        """A table has no pages."""

    def require_writable(
        self,
        count: int,
        path: Writable,
        *,
        columns: int,  # noqa: ARG002  of a picture
        scale: int | None,  # noqa: ARG002  of a picture
        frame: Frame = BARE,  # noqa: ARG002  of a picture
    ) -> None:
        """Check the number of values in the table."""
        if count * self.spec.shape[0] > MAX_VALUES:
            most = MAX_VALUES // self.spec.shape[0]
            raise UsageError(f"{path}: {count:,} rows are too many: ask for {most:,} or fewer")

    def write(
        self,
        items: ArrayLike,
        path: Writable,
        *,
        columns: int,  # noqa: ARG002  of a picture
        scale: int | None = None,  # noqa: ARG002  of a picture
        frame: Frame = BARE,  # noqa: ARG002  of a picture
    ) -> None:
        """Write rows under the names of their columns."""
        write_table(path, self.spec.columns, items)

    def write_reconstructions(
        self,
        originals: ArrayLike,  # noqa: ARG002  the user has them in a file
        reconstructions: ArrayLike,
        path: Writable,
        *,
        columns: int,  # noqa: ARG002  of a picture
        scale: int | None = None,  # noqa: ARG002  of a picture
        frame: Frame = BARE,  # noqa: ARG002  of a picture
        texts: Mapping[str, Sequence[str]] = NO_TEXTS,
    ) -> None:
        """Write the reconstructions in the order of the originals, after their texts."""
        write_table(path, self.spec.columns, reconstructions, texts)

    def write_traversal(
        self,
        tiles: ArrayLike,
        dims: Sequence[int] | None,
        offsets: Sequence[float],
        path: Writable,
        scale: int | None,  # noqa: ARG002  of a picture
        frame: Frame = BARE,  # noqa: ARG002  of a picture
    ) -> None:
        """Write rows after the dimension that was shifted, if it was only one, and its offset."""
        rows = np.asarray(tiles)
        shape = rows.shape[:2]
        index = {"offset": np.broadcast_to(np.array(offsets), shape)}
        if dims is not None:
            index = {"dimension": np.broadcast_to(np.array(dims)[:, None], shape), **index}
        self._write_indexed(index, rows, path)

    def write_interpolation(
        self,
        paths: ArrayLike,
        path: Writable,
        scale: int | None,  # noqa: ARG002  of a picture
        frame: Frame = BARE,  # noqa: ARG002  of a picture
        originals: ArrayLike | None = None,  # noqa: ARG002  the user has them in a file
    ) -> None:
        """Write rows after the number of their path and of their step, both from 1."""
        rows = np.asarray(paths)
        indices = np.indices(rows.shape[:2]) + 1
        self._write_indexed({"way": indices[0], "step": indices[1]}, rows, path)

    def write_grid(
        self,
        items: ArrayLike,
        index: Mapping[str, ArrayLike],
        path: Writable,
        scale: int | None,  # noqa: ARG002  of a picture
        frame: Frame = BARE,  # noqa: ARG002  of a picture
    ) -> None:
        """Write the rows after their numbers in the index, in the order of the grid."""
        self._write_indexed(index, np.asarray(items), path)

    def _write_indexed(
        self, index: Mapping[str, ArrayLike], rows: np.ndarray, path: Writable
    ) -> None:
        table = np.concatenate([np.stack([np.asarray(n) for n in index.values()], -1), rows], -1)
        columns = (*(free_name(name, self.spec.columns) for name in index), *self.spec.columns)
        write_table(path, columns, table.reshape(-1, table.shape[-1]))

    def to_bytes(self, item: ArrayLike) -> bytes:
        """A row as little-endian float32."""
        return np.asarray(item, "<f4").reshape(self.spec.shape).tobytes()

    def describe(self) -> str:
        """For example `rows of 13 columns`."""
        return f"rows of {self.spec.shape[0]} columns"

    def write_examples(
        self,
        train: InMemory,
        test: InMemory,
        output: Writable | None,
        *,
        columns: int,  # noqa: ARG002  of a picture
        scale: int | None,  # noqa: ARG002  of a picture
        frame: Frame = BARE,  # noqa: ARG002  of a picture
    ) -> str:
        """Return the numbers of rows and the classes; there is no picture."""
        if output is not None:
            raise UsageError(f"<output> {output}: a table of numbers has no picture")
        classes = list_some(self.spec.classes, MAX_NAMED_CLASSES)
        named = f"; {len(self.spec.classes):,} classes: {classes}" if classes else ""
        return f"{len(train):,} training rows, {len(test):,} test rows{named}"

    def write_item(self, item: Tensor, path: Writable) -> None:
        """Write one row under the names of its columns."""
        write_table(path, self.spec.columns, item[None])

    def summarize(self, splits: Mapping[str, InMemory]) -> Summary:
        """Mean and standard deviation of each column over the training set.

        Raises:
            UsageError: a column has no deviation that is a finite number.
        """
        train = splits["train"]
        statistics = column_statistics(train.items, train.rows)
        require_learnable(statistics, train.items, train.rows, self.spec.columns, self.spec.name)
        mean, std = (values.tolist() for values in statistics)
        figures = list(zip(self.spec.columns, mean, std, strict=True))
        return Summary(
            ("column", "mean", "standard deviation"),
            [(name, spell_mean(a, b), f"{b:.5g}") for name, a, b in figures],
            "columns",
            [{"name": name, "mean": a, "standard_deviation": b} for name, a, b in figures],
        )


def spell_mean(mean: float, deviation: float) -> str:
    """A mean with five digits, or more if it is so much larger than the deviation."""
    more = math.log10(abs(mean) / deviation) if mean and deviation else 0
    return f"{mean:.{min(SHOWN_DIGITS + max(0, int(more)), MAX_DIGITS)}g}"
