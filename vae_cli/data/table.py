"""Tables of numbers: divided into two parts, and read for a trained model."""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.conditioning import join_condition, reading_spec
from vae_cli.data.dataset import (
    DEFAULT_TABLE,
    MISSING_ADVICE,
    Dataset,
    Parts,
    Progress,
    Spec,
    TableRules,
    ignore_progress,
)
from vae_cli.data.held_out import divide
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError, VAEWarning, list_some, mark, shorten
from vae_cli.files import unescape_formula

if TYPE_CHECKING:
    from vae_cli.data.table_contents import TableContents
    from vae_cli.data.table_source import TableSource

MAX_LISTED = 10  # categories in a message


@final
class Table(Dataset):
    """The rows of a table, except for the columns that are taken out.

    The rows are divided by a hash of their cells: of the numbers, and of the texts of categories.
    So neither filling in a missing value nor a new category moves another row from one part to the
    other.

    Args:
        path: of a text, a Parquet file or a spreadsheet; see `table_files.open_table`.
        rules: the columns that are not learned, and what happens if a value is missing.
        like: a spec whose columns are read, in its order and with its rules.
        test_fraction: the expected share of the rows that is held out, by their contents.
        version: of the rules of reading, as in `table_contents.survey`.
        progress: called with the mebibytes read so far and in the file.

    Raises:
        UsageError: the file is missing or empty, a column cannot be learned or is missing, or one
            of the parts would be empty.
    """

    def __init__(
        self,
        path: Path,
        *,
        rules: TableRules = DEFAULT_TABLE,
        like: Spec | None = None,
        test_fraction: float,
        version: int = 3,
        progress: Progress = ignore_progress,
    ) -> None:
        from vae_cli.data.table_files import read_table

        contents = read_table(path, rules, like=like, version=version, progress=progress)
        name, rules = name_of(path), contents.rules
        self.rows = divide(contents.hashes, test_fraction, name)
        columns = like.columns if like else contents.columns
        if rules.missing == "mean" and like is None:
            rules = dataclasses.replace(rules, means=known_means(contents, self.rows[0]))
        for note in fill_in(contents, rules):
            warnings.warn(VAEWarning(f"{path.name}: {note}"), stacklevel=2)
        self.path, self.contents = path, contents
        self.spec = Spec(
            name,
            (len(columns),),
            classes=contents.classes,
            columns=columns,
            table=rules,
        )

    def read(self) -> Parts:
        """The rows to train on, and those that are held out."""
        return Parts(*map(self._part, self.rows))

    def _part(self, rows: Tensor) -> InMemory:
        labels = self.contents.labels
        known = labels[rows] if len(labels) else labels
        return InMemory(self.contents.rows, rows, known, hashes=self.contents.hashes[rows])

    def names(self, split: InMemory) -> list[str]:
        """The places of a part's rows in the file, from 0."""
        return [str(number) for number in self.contents.numbers[split.rows].tolist()]

    def ids(self, split: InMemory) -> list[str]:
        """What the table calls the rows of a part; empty if it has no column of ids."""
        return take_ids(self.contents, split.rows)


def name_of(path: Path) -> str:
    """The name of a table: that of its file, without what its contents are packed with."""
    return Path(path.stem).stem if path.suffix.lower() == ".gz" else path.stem


class FilledTable(NamedTuple):
    """The rows of a table without missing values, unless the model learns from the others.

    Attributes:
        rows: float64 `(N, D)`.
        numbers: int64 `(N,)`, which row of the file each of them is, from 0.
        notes: what was assumed, left out or filled in, for the user.
        labels: the class of each row; empty if the classes are not known.
        ids: what the table calls each row; empty if it has no column of ids.
    """

    rows: Tensor
    numbers: Tensor
    notes: tuple[str, ...]
    labels: Sequence[str] = ()
    ids: Sequence[str] = ()


def read_table_like(path: Path, spec: Spec) -> FilledTable:
    """The whole rows of a table, with its columns in the order of a spec.

    Raises:
        UsageError: the table cannot be read, or its columns are not those of the spec.
    """
    from vae_cli.data.table_files import read_table

    found = take_rows(read_table(path, like=reading_spec(spec)), spec.table)
    return found._replace(rows=join_condition(found.rows, found.labels, spec, path))


def read_source_like(source: "TableSource", spec: Spec) -> FilledTable:
    """The whole rows of a file or a frame that is open, with its columns in the order of a spec.

    Raises:
        UsageError: its columns are not those of the spec.
    """
    from vae_cli.data.table_contents import choose_for_model, read_contents

    contents = read_contents(source, choose_for_model(reading_spec(spec), source))
    found = take_rows(contents, spec.table)
    return found._replace(rows=join_condition(found.rows, found.labels, spec, source))


def is_frame(items: object) -> bool:
    """Whether something is a frame or a mapping of columns, and not an array."""
    if isinstance(items, np.ndarray | Tensor | list | tuple):
        return False
    return any(hasattr(items, name) for name in ("__arrow_c_stream__", "columns", "keys"))


def take_ids(contents: "TableContents", rows: Tensor) -> list[str]:
    """What a table calls some of its rows; empty if it has no column of ids."""
    if contents.ids is None:
        return []
    from vae_cli.data.column_kinds import spell_value

    return [
        unescape_formula("" if one is None else spell_value(one).strip())
        for one in contents.ids.take(rows.numpy()).to_pylist()
    ]


def known_means(contents: "TableContents", rows: Tensor) -> tuple[float, ...]:
    """What stands for a missing value of each column: its mean, or its most frequent category.

    Args:
        contents: of a table.
        rows: int64, the indices of the rows over which they are taken.

    Raises:
        UsageError: a column has no value in these rows.
    """
    means = []
    for column, values in zip(contents.columns, contents.rows.T, strict=True):
        known = values[rows]
        known = known[~known.isnan()]
        if not len(known):
            raise UsageError(
                f"column {column.name} has no values to train on: leave it out with "
                f"{mark('data.drop')}"
            )
        mean = known.mean() if column.is_measured else known.mode().values
        means.append(float(mean.round() if column.kind == "integer" else mean))
    return tuple(means)


def take_rows(contents: "TableContents", rules: TableRules) -> FilledTable:
    """The rows of a table for a model, with what tells them apart."""
    notes = tuple(fill_in(contents, rules))
    labels = [contents.classes[label] for label in contents.labels.tolist()]
    ids = take_ids(contents, torch.arange(len(contents.rows)))
    return FilledTable(contents.rows, contents.numbers, notes, labels, ids)


def fill_in(contents: "TableContents", rules: TableRules) -> list[str]:
    """Replace the missing values of a table, in its own memory, if they have means.

    A model that learns from what is observed gets them as they are.

    Returns:
        What was assumed, left out or filled in, for the user.
    """
    rows, count = contents.rows, 0
    for column, mean in zip(rows.T, rules.means, strict=bool(rules.means)):
        is_missing = column.isnan()
        count += int(is_missing.sum())
        column[is_missing] = mean
    notes = list(contents.notes)
    if contents.left_out:
        notes.append(_say_left_out(contents.left_out, len(rows) + contents.left_out))
    if count:
        notes.append(_say_filled(count))
    return notes


def complete_rows(rows: Tensor, spec: Spec, source: object) -> FilledTable:
    """Rows `(N, D)` with the columns of a spec, without missing values, as `take_rows` makes them.

    Raises:
        UsageError: the code of a category is none, a value is missing, and that is an error, or no
            row is left.
    """
    require_codes(rows, spec, source)
    rules, numbers = spec.table, torch.arange(len(rows))
    missing = rows.isnan() if rows.is_floating_point() else torch.zeros(1, 1, dtype=torch.bool)
    if not missing.any() or rules.missing == "model":
        return FilledTable(rows, numbers, ())
    if rules.missing == "mean":
        means = torch.tensor(rules.means[: rows.shape[1]], dtype=torch.float64)
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


def require_codes(rows: Tensor, spec: Spec, source: object) -> None:
    """Check that each category in rows `(N, D)` is the index of one of its texts.

    Raises:
        UsageError: one is not; the message names the first.
    """
    places = [place for place, column in enumerate(spec.columns) if column.kind == "category"]
    codes = rows[:, places].double()
    counts = torch.tensor([len(spec.columns[place].categories) for place in places])
    wrong = (codes < 0) | (codes >= counts) | (codes != codes.floor()) & ~codes.isnan()
    if wrong.any():
        row, found = wrong.nonzero()[0].tolist()
        column = spec.columns[places[found]]
        categories = list_some(column.categories, MAX_LISTED)
        raise UsageError(
            f"{source}: {codes[row, found]:g} in row {row}, column {shorten(column.name)} is not "
            f"the index of one of its categories: {categories}"
        )


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
    return f"{values} replaced by the mean, or the most frequent text, of the column"
