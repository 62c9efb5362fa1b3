"""Mean and standard deviation of the columns of a table."""

from typing import NamedTuple

import torch
from torch import Tensor

from vae_cli.data.dataset import Split

CHUNK_ROWS = 65_536


class ColumnStatistics(NamedTuple):
    """Mean and standard deviation of each column over the training set, float32 `(D,)` each."""

    mean: Tensor
    std: Tensor


def column_statistics(split: Split) -> ColumnStatistics:
    """The statistics of the rows of a split, summed in float64.

    A column that never changes gets a standard deviation of 1, so that it can be divided by.
    """
    total = squares = torch.zeros(split.items.shape[1:], dtype=torch.float64)
    for rows in split.rows.split(CHUNK_ROWS):
        total = total + split.items[rows].double().sum(0)
    mean = total / len(split)
    for rows in split.rows.split(CHUNK_ROWS):
        squares = squares + (split.items[rows].double() - mean).square().sum(0)
    std = (squares / len(split)).sqrt().float()
    return ColumnStatistics(mean.float(), torch.where(std > 0, std, 1.0))
