"""Mean and standard deviation of the columns of a table."""

from typing import NamedTuple

import torch
from torch import Tensor

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
