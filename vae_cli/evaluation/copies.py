"""Whether synthetic rows are copies of training rows: to which rows are they nearest?

A synthetic row that has learned the distribution, and nothing about single training rows, is as
near to rows that were held out as to rows of the training. So the share of synthetic rows that are
nearer to a training row than to a held-out one, of two sets of the same size, is ½ (TabSyn calls it
DCR: Zhang et al., 2024, appendix F, https://arxiv.org/abs/2310.09656). Copies have a share of 1.

    d(a, b)² = Σ_j ((a_j − b_j) / σ_j)² + 2 · (the number of categories that differ)

σ_j is the standard deviation of a measured column in the training rows, and 2 is the squared
distance of two one-hot vectors. Whether a value is missing counts as a category.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.evaluation.similarity import vary

CHUNK_ROWS = 256  # times 5,000 others: 10 MB


@final
class Points(NamedTuple):
    """Rows between which there are distances.

    Attributes:
        numbers: float64 `(N, F)`, standardized; 0 for a missing value.
        codes: of categories, float64 `(N, C)`; −1 for a missing value.
    """

    numbers: Tensor
    codes: Tensor


def find_copies(
    train: Tensor, held_out: Tensor, synthetic: Tensor, columns: Sequence[Column]
) -> Tensor:
    """Whether each synthetic row is nearer to a training row than to a held-out one.

    Args:
        train: `(N, D)`.
        held_out: `(N, D)`, as many.
        synthetic: `(M, D)`.
        columns: D of them.

    Returns:
        `(M,)`: 1 if it is, 0 if it is not, and ½ if both are equally near.

    Example:
        >>> train, held_out = torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [6.0]])
        >>> find_copies(train, held_out, torch.tensor([[2.1], [3.0], [5.0]]), [Column(name="a")])
        tensor([1.0000, 0.5000, 0.0000], dtype=torch.float64)
    """
    to_training, to_held_out = (
        distance_to_nearest(to_points(synthetic, columns, train), to_points(others, columns, train))
        for others in (train, held_out)
    )
    return (to_training < to_held_out).double() + 0.5 * (to_training == to_held_out).double()


def to_points(rows: Tensor, columns: Sequence[Column], train: Tensor) -> Points:
    """Rows `(N, D)` whose measured columns are in units of their deviation in training rows."""
    measured = [place for place, column in vary(columns) if column.is_measured]
    others = [place for place, column in vary(columns) if not column.is_measured]
    known = train[:, measured].double()
    mean = known.nanmean(0)
    scale = (known - mean).square().nanmean(0).sqrt()
    numbers = (rows[:, measured] - mean) / torch.where(scale > 0, scale, 1)
    codes = torch.cat([rows[:, others].nan_to_num(nan=-1), numbers.isnan()], 1)
    return Points(numbers.nan_to_num(), codes)


def distance_to_nearest(points: Points, others: Points) -> Tensor:
    """The squared distance of each of N points to the nearest of M others: `(N,)`.

    Differences are squared one by one, so that equal rows have equal distances to the last digit.
    """
    found = []
    for start in range(0, len(points.numbers), CHUNK_ROWS):
        numbers, codes = (part[start : start + CHUNK_ROWS] for part in points)
        distances = torch.cdist(
            numbers, others.numbers, compute_mode="donot_use_mm_for_euclid_dist"
        ).square()
        distances += 2 * torch.cdist(codes, others.codes, p=0)  # how many differ
        found.append(distances.amin(1))
    return torch.cat(found)
