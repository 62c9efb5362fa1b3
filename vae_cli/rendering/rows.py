"""Rows of a table: read for a trained model, and written as tables."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.array_files import require_valid_values
from vae_cli.data.columns import free_name, number_columns
from vae_cli.data.conditioning import in_file_order
from vae_cli.data.dataset import Spec, describe_items
from vae_cli.data.source import TABLE_SUFFIXES as READABLE_SUFFIXES
from vae_cli.data.source import suffix_of
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import column_statistics, require_learnable
from vae_cli.data.streamed import AnySplit
from vae_cli.data.table import FilledTable, complete_rows, read_table_like
from vae_cli.data.table_writing import to_records, write_table
from vae_cli.errors import UsageError, list_some, mark, plural
from vae_cli.files import Writable
from vae_cli.rendering.arrangements import Arrangement, Reconstructions
from vae_cli.rendering.grid import Layout
from vae_cli.rendering.kind import (
    AS_THEY_ARE,
    NO_TEXTS,
    Adjustment,
    ItemKind,
    ItemWriter,
    NamedItems,
    Summary,
)
from vae_cli.rendering.suffixes import TABLE_SUFFIXES

MAX_NAMED_CLASSES = 10  # in the line that `vae data` prints
SHOWN_DIGITS, MAX_DIGITS = 5, 15  # of a mean that `vae data` prints
MAX_VALUES = 100_000_000  # in a table that is generated: 800 MB in memory, and as much text


@final
class RowWriter(ItemWriter):
    """Writes rows under the names of their columns, as CSV, TSV or Parquet.

    Args:
        spec: what the rows are.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def require_writable(self, count: int, path: Writable) -> None:
        """Check the number of values in the table."""
        if count * self.spec.shape[0] > MAX_VALUES:
            most = MAX_VALUES // self.spec.shape[0]
            raise UsageError(f"{path}: {count:,} rows are too many: ask for {most:,} or fewer")

    def write(
        self, items: ArrayLike, path: Writable, texts: Mapping[str, Sequence[str]] = NO_TEXTS
    ) -> None:
        """Write rows, or whole rows, under the names of their columns, after columns of texts."""
        columns, rows = in_file_order(self.spec, items)
        write_table(path, columns, rows, texts, self.spec.table)

    def write_reconstructions(self, pairs: Reconstructions, path: Writable) -> None:
        """Write the reconstructions in the order of the originals, after their texts."""
        self.write(pairs.decoded, path, pairs.texts)

    def write_arrangement(self, arrangement: Arrangement, path: Writable) -> None:
        """Write the rows after their numbers, in the order of the arrangement."""
        numbers = arrangement.numbers()
        own, rows = in_file_order(self.spec, arrangement.items)
        names = [column.name for column in own]
        index = np.stack([np.asarray(one) for one in numbers.values()], -1)
        table = np.concatenate([index, rows], -1)
        columns = *number_columns(*(free_name(one, names) for one in numbers)), *own
        write_table(path, columns, table.reshape(-1, table.shape[-1]), rules=self.spec.table)

    def write_examples(self, splits: Mapping[str, AnySplit], output: Writable | None) -> str:
        """Return the numbers of rows and the classes; there is no picture."""
        if output is not None:
            raise UsageError(f"{mark('output')} {output}: a table has no picture")
        classes = list_some(self.spec.classes, MAX_NAMED_CLASSES)
        named = f"; {len(self.spec.classes):,} classes: {classes}" if classes else ""
        train, test = (len(splits[name]) for name in ("train", "test"))
        return f"{train:,} training rows, {test:,} test rows{named}"


@final
class Rows(ItemKind):
    """Rows `(N, D)`, one number for each column, written as CSV, TSV or Parquet."""

    items_name = "rows of a table"
    output_suffixes = TABLE_SUFFIXES
    samples_noise = True
    preview_items = preview_samples = 100

    def read(self, path: Path, adjustment: Adjustment = AS_THEY_ARE) -> NamedItems:
        """Read a table, with its columns in the order of the model."""
        if adjustment.find_object:
            raise UsageError(f"{mark('fit=object')} is for pictures, not {path}: leave it out")
        if suffix_of(path) not in READABLE_SUFFIXES:
            name = self.spec.name
            raise UsageError(f"{path}: {name} is a table; give a .csv, .tsv or .npy file of rows")
        return self._name(path, read_table_like(path, self.spec), path.name)

    def take_array(self, items: Tensor, path: Path) -> NamedItems:
        """The rows of an array file, without missing values; there may be any number of them."""
        learned = len(self.spec.columns)
        found = complete_rows(items[:, :learned], self.spec, path)
        require_valid_values(found.rows, path)
        told = items[found.numbers, learned:].double()
        found = found._replace(
            rows=torch.cat([found.rows, told], 1) if told.numel() else found.rows
        )
        return self._name(path, found, str(path))

    def _name(self, path: Path, found: FilledTable, source: str) -> NamedItems:
        """Rows of a file with the names that tell them from those of other files."""
        numbers = list(map(str, found.numbers.tolist()))
        texts = describe_items(self.spec, numbers, found.ids, found.labels)
        hints = [f"{source}: {note}" for note in found.notes]
        return NamedItems([f"{path.name} {number}" for number in numbers], found.rows, hints, texts)

    def writer(self, layout: Layout) -> RowWriter:  # noqa: ARG002  of a picture
        """What writes rows."""
        return RowWriter(self.spec)

    def plan_sheet(self, count: int, layout: Layout, *, page: int, group: int) -> None:
        """A table has no pages."""

    def write_item(self, item: Tensor, path: Writable) -> None:
        """Write one row under the names of its columns."""
        RowWriter(self.spec).write(item[None], path)

    def to_records(self, items: ArrayLike) -> list[dict[str, Any]]:
        """The values of rows by column: numbers, texts, and nothing where a value is missing."""
        return to_records(*in_file_order(self.spec, items))

    def describe(self, count: int | None = None) -> str:
        """For example `rows of 13 columns`, or `1 row of 13 columns`."""
        rows = "rows" if count is None else plural(count, "row")
        return f"{rows} of {plural(self.spec.shape[0], 'column')}"

    def summarize(self, splits: Mapping[str, AnySplit]) -> Summary:
        """Mean and standard deviation of each column over the training set.

        Raises:
            UsageError: a column has no deviation that is a finite number.
        """
        train = splits["train"]
        assert isinstance(train, InMemory)  # as every table is
        statistics = column_statistics(train.items, train.rows)
        require_learnable(statistics, train, self.spec)
        mean, std = (values.tolist() for values in statistics)
        found = list(zip(self.spec.column_names, mean, std, strict=True))
        return Summary(
            ("column", "mean", "standard deviation"),
            [(name, spell_mean(a, b), f"{b:.5g}") for name, a, b in found],
            "columns",
            [{"name": name, "mean": a, "standard_deviation": b} for name, a, b in found],
        )


def spell_mean(mean: float, deviation: float) -> str:
    """A mean with five digits, or more if it is so much larger than the deviation."""
    more = math.log10(abs(mean) / deviation) if mean and deviation else 0
    return f"{mean:.{min(SHOWN_DIGITS + max(0, int(more)), MAX_DIGITS)}g}"
