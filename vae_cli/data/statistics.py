"""What is measured on a training set.

The mean and the standard deviation of a table's columns, the brightness at the edge of images,
which tells paper from ink, and a digest of all contents, which tells whether a resumed run has the
same data.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vae_cli.data.batches import CPU, chunk_length
from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.data.streamed import AnySplit, Streamed
from vae_cli.errors import UsageError

CHUNK_ROWS = 65_536
FAR = 100.0  # standard deviations; a row that is further away alone decides the loss of its set
MAX_IMAGES = 1000  # whose edges are measured
SPREAD = 32  # of 255, by which usual edges may differ
SHARE = 0.9  # of the images, which must have a usual edge
WHITE = 255


class ColumnStatistics(NamedTuple):
    """Mean and standard deviation of each column over the training set.

    Attributes:
        mean: float64 `(D,)`.
        std: float64 `(D,)`; 0 for a column that never changes.
    """

    mean: Tensor
    std: Tensor


class Outlier(NamedTuple):
    """The row of a set that is the furthest from the mean, in standard deviations of a column.

    Attributes:
        name: of the row.
        column: in which it is the furthest.
        deviations: how far.
        others: how many other rows of the set are far away as well.
    """

    name: str
    column: str
    deviations: float
    others: int

    def __str__(self) -> str:
        size = self.deviations
        far = f"{size:,.0f}" if size < 1e9 else f"{size:.0e}"  # noqa: PLR2004
        more = f" (and {self.others:,} more are far away)" if self.others else ""
        column = self.column.removeprefix("column ")  # those without a name are called "column 1"
        where = f"row {self.name} (from 0)"
        return f"{where} is {far} deviations from the mean in column {column}{more}"


def column_statistics(items: Tensor, rows: Tensor) -> ColumnStatistics:
    """The statistics of some rows of a table, summed in float64, without missing values.

    Args:
        items: `(M, D)`.
        rows: int64 `(N,)`, the indices of the rows.
    """
    total = squares = count = torch.zeros(items.shape[1:], dtype=torch.float64)
    low, high = torch.full_like(total, torch.inf), torch.full_like(total, -torch.inf)
    for some in rows.split(CHUNK_ROWS):
        values = items[some].double()
        is_known = ~values.isnan()
        total, count = total + values.nansum(0), count + is_known.sum(0)
        low = torch.minimum(low, values.where(is_known, torch.inf).amin(0))
        high = torch.maximum(high, values.where(is_known, -torch.inf).amax(0))
    mean = torch.where(low < high, total / count, low.nan_to_num(posinf=0))
    for some in rows.split(CHUNK_ROWS):
        squares = squares + (items[some].double() - mean).square().nansum(0)
    return ColumnStatistics(mean, (squares / count.clamp(min=1)).sqrt())


def require_learnable(statistics: ColumnStatistics, train: InMemory, spec: Spec) -> None:
    """Check that every column has a deviation to divide by, unless it never changes.

    Args:
        statistics: of the columns.
        train: the rows that the statistics are of.
        spec: of the data set, whose name and columns the error message has.

    Raises:
        UsageError: the squares of a column's values, or of its deviations, are too large or too
            small for float64.
    """
    (mean, std), items, rows = statistics, train.items, train.rows
    remedy = "correct the value, change the unit of the column, or leave it out"
    for place in (~(mean.isfinite() & std.isfinite())).nonzero()[:, 0].tolist():
        largest = float(items[rows, place].abs().nan_to_num(nan=0.0).max())
        raise UsageError(
            f"column {spec.column_names[place]} of {spec.name}: its deviation is not a finite "
            f"number, because its values reach {largest:.3g}: {remedy}"
        )
    for place in (std == 0).nonzero()[:, 0].tolist():
        values = items[rows, place]
        if (values[~values.isnan()].diff() != 0).any():
            raise UsageError(
                f"column {spec.column_names[place]} of {spec.name}: its values differ by less than "
                f"float64 can square: {remedy}"
            )


def find_outlier(
    statistics: ColumnStatistics,
    split: InMemory,
    *,
    columns: Sequence[str],
    names: Callable[[InMemory], Sequence[str]],
) -> Outlier | None:
    """The row of a set that is the furthest away, if it is far away.

    Columns that never change in the training set are not learned, and do not count.

    Args:
        statistics: of the columns over the training set.
        split: the set.
        columns: their names.
        names: gives the names of the rows of a set.
    """
    learned = statistics.std > 0
    divisor = torch.where(learned, statistics.std, 1.0)
    furthest, count = (0.0, 0, 0), 0  # the distance, and its place and column
    for start, rows in enumerate(split.rows.split(CHUNK_ROWS)):
        distances = (split.items[rows].double() - statistics.mean).abs().nan_to_num(0.0) / divisor
        by_row, worst = (distances * learned).max(1)
        count += int((by_row > FAR).sum())
        place = int(by_row.argmax())
        found = float(by_row[place]), start * CHUNK_ROWS + place, int(worst[place])
        furthest = max(furthest, found)
    if not count:
        return None
    distance, place, column = furthest
    (name,) = names(split.take(torch.tensor([place])))
    return Outlier(name, columns[column], distance, count - 1)


def usual_border(train: AnySplit) -> int | None:
    """The brightness, 0 to 255, of the edge of nearly all images; None if there is none."""
    first = torch.arange(len(train))[:MAX_IMAGES]
    batches = train.batches(first, chunk_length(train.shape), CPU)
    images = torch.cat([batch.x.mean(1) for batch in batches])
    edges = [images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]]
    borders = WHITE * torch.cat(edges, 1).median(1).values
    usual = borders.median()
    if ((borders - usual).abs() <= SPREAD).float().mean() < SHARE:
        return None
    return round(float(usual))


def expected_border(spec: Spec) -> int | None:
    """The brightness that the edge of a picture should have; None if any will do."""
    if spec.usual_border is not None:
        return spec.usual_border
    return None if spec.cropped else spec.background


def digest_splits(train: AnySplit, test: InMemory) -> str:
    """The SHA-256 of the items, labels and conditions of both parts, in order, as hexadecimal.

    Items in shards are not read for it: their names and sizes, and which of them it is, stand for
    them.
    """
    digest = hashlib.sha256()
    for split in (train, test):
        if split.condition is not None:
            digest.update(split.condition.numpy().tobytes())
        if isinstance(split, Streamed):
            digest.update(f"{len(split)} {split.shards.digest}".encode())
            digest.update(split.rows.numpy().tobytes())
            continue
        digest.update(f"{len(split)} {split.items.dtype} {tuple(split.items.shape[1:])}".encode())
        for rows in split.rows.split(chunk_length(split.items.shape[1:])):
            digest.update(split.gather(rows).contiguous().numpy().tobytes())
        digest.update(split.labels.numpy().tobytes())
    return digest.hexdigest()
