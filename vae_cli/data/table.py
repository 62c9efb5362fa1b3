"""Tables of numbers: divided into two parts, and read for a trained model."""

import dataclasses
import functools
import math
import warnings
from pathlib import Path
from typing import NamedTuple, final

import torch
from torch import Tensor

from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import (
    DEFAULT_TABLE,
    Dataset,
    Parts,
    Progress,
    Spec,
    TableRules,
    ignore_progress,
)
from vae_cli.data.held_out import divide, hash_keys
from vae_cli.data.split import InMemory
from vae_cli.data.table_columns import choose_for_model, choose_for_training
from vae_cli.data.table_files import MISSING_ADVICE, TableContents, read_table
from vae_cli.errors import UsageError, mark


@final
class Table(Dataset):
    """The rows of a table in which every column holds numbers, except those that are taken out.

    The rows are divided by a hash of their numbers as they are in the file, so filling in missing
    values moves no row from one part to the other.

    Args:
        path: ends in `.csv` or `.tsv`; a first row that is not all numbers names the columns.
        rules: the columns that are not learned, and what happens if a value is missing.
        like: a spec whose columns are read, in its order and with its rules.
        test_fraction: the expected share of the rows that is held out, by their contents.
        learns_index: whether an index without a name is a column to learn, as in runs of an
            earlier version.
        progress: called with the mebibytes read so far and in the file.

    Raises:
        UsageError: the file is missing or empty, a cell is not a number, a column is missing, or
            one of the parts would be empty.
    """

    def __init__(
        self,
        path: Path,
        *,
        rules: TableRules = DEFAULT_TABLE,
        like: Spec | None = None,
        test_fraction: float,
        learns_index: bool = False,
        progress: Progress = ignore_progress,
    ) -> None:
        rules = like.table if like else rules
        choose = (
            functools.partial(choose_for_model, like)
            if like
            else functools.partial(choose_for_training, rules, learns_index=learns_index)
        )
        self.path = path
        contents = read_table(path, choose, progress)
        self.hashes = hash_keys(row.tobytes() for row in contents.rows.numpy())
        self.rows = divide(self.hashes, test_fraction, path.stem)
        if rules.missing == "mean" and like is None:
            rules = dataclasses.replace(rules, means=known_means(contents, self.rows[0]))
        for note in fill_in(contents, rules).notes:
            warnings.warn(f"{path.name}: {note}", stacklevel=2)
        self.path, self.contents = path, contents
        self.spec = Spec(
            path.stem,
            (len(contents.columns),),
            classes=contents.classes,
            columns=like.columns if like else number_columns(*contents.columns),
            table=rules,
        )

    def read(self) -> Parts:
        """The rows to train on, and those that are held out."""
        return Parts(*map(self._part, self.rows))

    def _part(self, rows: Tensor) -> InMemory:
        labels = self.contents.labels
        known = labels[rows] if len(labels) else labels
        return InMemory(self.contents.rows, rows, known, hashes=self.hashes[rows])

    def names(self, split: InMemory) -> list[str]:
        """The places of a part's rows in the file, from 0."""
        return [str(number) for number in self.contents.numbers[split.rows].tolist()]


class FilledTable(NamedTuple):
    """The rows of a table without missing values.

    Attributes:
        rows: float64 `(N, D)`.
        numbers: int64 `(N,)`, which row of the file each of them is, from 0.
        notes: what was assumed, left out or filled in, for the user.
        labels: the class of each row; empty if the classes are not known.
    """

    rows: Tensor
    numbers: Tensor
    notes: tuple[str, ...]
    labels: list[str] = []  # noqa: RUF012


def read_table_like(path: Path, spec: Spec) -> FilledTable:
    """The rows of a table, with its columns in the order of a spec.

    Raises:
        UsageError: as in `read_table`, or the columns are not those of the spec.
    """
    return fill_in(read_table(path, functools.partial(choose_for_model, spec)), spec.table)


def known_means(contents: TableContents, rows: Tensor) -> tuple[float, ...]:
    """The mean of each column over those of some rows in which it has a value.

    Args:
        contents: of a table.
        rows: int64, the indices of the rows.

    Raises:
        UsageError: a column has none.
    """
    means = tuple(float(column[rows].nanmean()) for column in contents.rows.T)
    for name, mean in zip(contents.columns, means, strict=True):
        if math.isnan(mean):
            raise UsageError(
                f"column {name} has no values to train on: leave it out with {mark('data.drop')}"
            )
    return means


def fill_in(contents: TableContents, rules: TableRules) -> FilledTable:
    """Replace the missing values of a table, in its own memory, and say how many there were."""
    rows, numbers, count = contents.rows, contents.numbers, 0
    for column, mean in zip(rows.T, rules.means, strict=bool(rules.means)):
        is_missing = column.isnan()
        count += int(is_missing.sum())
        column[is_missing] = mean
    notes = list(contents.notes)
    if contents.left_out:
        notes.append(_say_left_out(contents.left_out, len(rows) + contents.left_out))
    if count:
        notes.append(_say_filled(count))
    labels = [contents.classes[label] for label in contents.labels.tolist()]
    return FilledTable(rows, numbers, tuple(notes), labels)


def complete_rows(rows: Tensor, spec: Spec, source: object) -> FilledTable:
    """Rows `(N, D)` with the columns of a spec, without missing values, as `fill_in` makes them.

    Raises:
        UsageError: a value is missing, and that is an error, or no row is left.
    """
    rules, numbers = spec.table, torch.arange(len(rows))
    missing = rows.isnan() if rows.is_floating_point() else torch.zeros(1, 1, dtype=torch.bool)
    if not missing.any() or rules.missing == "model":
        return FilledTable(rows, numbers, ())
    if rules.missing == "mean":
        means = torch.tensor(rules.means, dtype=torch.float64)
        return FilledTable(
            torch.where(missing, means, rows), numbers, (_say_filled(int(missing.sum())),)
        )
    row, column = missing.nonzero()[0].tolist()
    if rules.missing == "error":
        raise UsageError(
            f"{source}: a value is missing in row {row}, column {spec.column_names[column]}: "
            f"{MISSING_ADVICE[False]}"
        )
    kept = numbers[~missing.any(1)]
    if not len(kept):
        raise UsageError(f"{source}: a value is missing in every row, so none is left")
    note = _say_left_out(len(rows) - len(kept), len(rows))
    return FilledTable(rows[kept], kept, (note,))


def require_near(x: Tensor, rows: Tensor, spec: Spec) -> None:
    """Check that standardized rows `(N, D)` are finite in float32, in which a network computes.

    Args:
        x: what the network takes.
        rows: the same in the units of the data.
        spec: what they are.

    Raises:
        UsageError: they are not; the message names the first value.
    """
    wrong = ~x.isfinite()
    if wrong.any():
        row, column = wrong.nonzero()[0].tolist()
        raise UsageError(
            f"the value {rows[row, column]:.6g} in column {spec.column_names[column]} is too far "
            f"from those that the model of {spec.name} learned: a network computes in float32"
        )


def _say_left_out(count: int, total: int) -> str:
    return f"a value is missing in {count:,} of {total:,} rows; they are left out"


def _say_filled(count: int) -> str:
    values = "1 missing value is" if count == 1 else f"{count:,} missing values are"
    return f"{values} replaced by the mean of the column"
