"""Mean and standard deviation of the columns of a table."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vae_cli.errors import UsageError

CHUNK_ROWS = 65_536


class ColumnStatistics(NamedTuple):
    """Mean and standard deviation of each column over the training set.

    Attributes:
        mean: float64 `(D,)`.
        std: float64 `(D,)`; 0 for a column that never changes.
    """

    mean: Tensor
    std: Tensor


def column_statistics(items: Tensor, rows: Tensor) -> ColumnStatistics:
    """The statistics of some rows of a table, summed in float64.

    Args:
        items: `(M, D)`.
        rows: int64 `(N,)`, the indices of the rows.
    """
    total = squares = torch.zeros(items.shape[1:], dtype=torch.float64)
    first = items[rows[0]]
    changes = torch.zeros(items.shape[1:], dtype=torch.bool)
    for some in rows.split(CHUNK_ROWS):
        total = total + items[some].double().sum(0)
        changes |= (items[some] != first).any(0)
    mean = torch.where(changes, total / len(rows), first.double())
    for some in rows.split(CHUNK_ROWS):
        squares = squares + (items[some].double() - mean).square().sum(0)
    return ColumnStatistics(mean, (squares / len(rows)).sqrt())


def require_learnable(
    statistics: ColumnStatistics, items: Tensor, rows: Tensor, columns: Sequence[str], name: str
) -> None:
    """Check that every column has a deviation to divide by, unless it never changes.

    Args:
        statistics: of the columns.
        items: `(M, D)`.
        rows: int64 `(N,)`, the indices of the rows that the statistics are of.
        columns: their names.
        name: of the data set, for the error message.

    Raises:
        UsageError: the squares of a column's values, or of its deviations, are too large or too
            small for float64.
    """
    mean, std = statistics
    remedy = "change its unit, or leave it out"
    for place in (~(mean.isfinite() & std.isfinite())).nonzero()[:, 0].tolist():
        largest = float(items[rows, place].abs().max())
        raise UsageError(
            f"column {columns[place]} of {name}: its deviation is not a finite number, because its "
            f"values reach {largest:.3g}: {remedy}"
        )
    for place in (std == 0).nonzero()[:, 0].tolist():
        values = items[rows, place]
        if (values != values[0]).any():
            raise UsageError(
                f"column {columns[place]} of {name}: its values differ by less than float64 can "
                f"square: {remedy}"
            )
