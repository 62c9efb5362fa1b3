"""How alike two tables are: the shapes of their columns, and the trends of pairs of columns.

Both are means over columns, or over pairs, of a number between 0 and 1, where 1 is alike. These are
the two properties of the quality report of SDMetrics (https://docs.sdv.dev/sdmetrics), which papers
on synthetic tables report, TabSyn as 1 minus them (Zhang et al., 2024,
https://arxiv.org/abs/2310.09656):

    shape of a measured column   1 − max |F(v) − G(v)|            F, G: the distribution functions
    shape of a category          1 − ½ Σ_v |p(v) − q(v)|          p, q: the shares of its texts
    trend of measured columns    1 − ½ |ρ_p − ρ_q|                ρ: Pearson's correlation
    trend of another pair        1 − ½ Σ_uv |p(u, v) − q(u, v)|   a measured column in ten bins

Numbers, integers and dates are measured. Missing values have no shape. A correlation is that of the
rows that have both values; in the shares of a pair, a missing value is a value of its own. The ten
bins are equally wide from the smallest to the largest value of the same table: those of the two
tables may differ. Only pairs that are associated in the first table count, because the others have
no trend that could be lost: a correlation beyond 0.5, or Cramér's V beyond 0.3.

    V² = (Σ_uv p(u, v)² / (p(u) p(v)) − 1) / (min(values of u, values of v) − 1)

A table is float64 `(N, D)`, whose columns `data.columns` describes. Constants are left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.errors import shorten

MIN_CORRELATION, MIN_ASSOCIATION = 0.5, 0.3  # of SDMetrics, which has them since January 2026
DECIMALS = 14  # beyond these, values are the same
DENSE_CELLS = 4  # for each row; tables of counts with more of them are mostly empty
NO_VARIANCE = 1e-20  # of a standardized column


@final
class Similarity(NamedTuple):
    """The mean score of columns, or of pairs of columns.

    Attributes:
        value: the mean; NaN if none is scored.
        scored: the number of columns or pairs that it is the mean of.
        total: the number that there are.
        lowest: the name of the column or pair with the lowest score, and the score.
    """

    value: float
    scored: int
    total: int
    lowest: str


def compare_shapes(real: Tensor, synthetic: Tensor, columns: Sequence[Column]) -> Similarity:
    """How alike the distributions of single columns are.

    Args:
        real: `(N, D)`.
        synthetic: `(M, D)`.
        columns: D of them.

    Example:
        >>> columns = (Column(name="age"), Column(name="sex", kind="category", categories="fm"))
        >>> real = torch.tensor([[20, 0], [30, 0], [40, 1], [50, 1]]).double()
        >>> synthetic = torch.tensor([[20, 0], [30, 1], [40, 1], [60, 1]]).double()
        >>> compare_shapes(real, synthetic, columns)
        Similarity(value=0.75, scored=2, total=2, lowest='age 0.75')
    """
    scores = []
    for place, column in vary(columns):
        pair = [observed(rows[:, place]) for rows in (real, synthetic)]
        measure = compare_distributions if column.is_measured else compare_categories
        scores.append(measure(*pair) if all(map(len, pair)) else torch.nan)
    names = [column.name for _, column in vary(columns)]
    return summarize(torch.tensor(scores, dtype=torch.float64), names)


def compare_trends(real: Tensor, synthetic: Tensor, columns: Sequence[Column]) -> Similarity:
    """How alike the relations between two columns are, for those that are related in `real`.

    Args:
        real: `(N, D)`.
        synthetic: `(M, D)`.
        columns: D of them.

    Example:
        >>> columns = (Column(name="a"), Column(name="b"), Column(name="unrelated"))
        >>> real = torch.tensor([[1, 2, 1], [2, 4, 0], [3, 6, 1]]).double()
        >>> compare_trends(real, real * torch.tensor([1, -1, 1]), columns)
        Similarity(value=0.0, scored=1, total=3, lowest='a and b 0.00')
    """
    known = vary(columns)
    measured = [place for place, column in known if column.is_measured]
    both = list(combinations(measured, 2))
    scores = compare_correlations(real[:, measured], synthetic[:, measured])
    first, second = (
        {place: to_levels(rows[:, place], column) for place, column in known}
        for rows in (real, synthetic)
    )
    others = [
        (i, j)
        for (i, one), (j, other) in combinations(known, 2)
        if not (one.is_measured and other.is_measured)
    ]
    contingencies = [
        compare_contingency((first[i], first[j]), (second[i], second[j])) for i, j in others
    ]
    names = [f"{columns[i].name} and {columns[j].name}" for i, j in both + others]
    return summarize(torch.cat([scores, torch.tensor(contingencies, dtype=torch.float64)]), names)


def vary(columns: Sequence[Column]) -> list[tuple[int, Column]]:
    """The columns that are compared, with their places: all but constants."""
    return [(place, one) for place, one in enumerate(columns) if one.kind != "constant"]


def observed(values: Tensor) -> Tensor:
    """The values `(N,)` that are not missing."""
    return values[~values.isnan()]


def summarize(scores: Tensor, names: Sequence[str]) -> Similarity:
    """The mean of the scores `(S,)` that are not NaN."""
    known = observed(scores)
    if not len(known):
        return Similarity(torch.nan, 0, len(scores), "")
    place = int(scores.nan_to_num(nan=torch.inf).argmin())
    lowest = f"{shorten(names[place])} {scores[place].item():.2f}"
    return Similarity(known.mean().item(), len(known), len(scores), lowest)


def compare_distributions(first: Tensor, second: Tensor) -> float:
    """1 minus the statistic of Kolmogorov and Smirnov of values `(N,)` and `(M,)`."""
    first, second = (values.round(decimals=DECIMALS).sort().values for values in (first, second))
    points = torch.cat([first, second])
    shares = [
        torch.searchsorted(values, points, right=True).double() / len(values)
        for values in (first, second)
    ]
    return 1 - (shares[0] - shares[1]).abs().max().item()


def compare_categories(first: Tensor, second: Tensor) -> float:
    """1 minus the total variation distance of codes `(N,)` and `(M,)`."""
    return overlap(first.long(), second.long(), int(max(first.max(), second.max())) + 1)


def overlap(first: Tensor, second: Tensor, levels: int) -> float:
    """Σ min(p, q), which is 1 − ½ Σ |p − q|, of int64 codes `(N,)` and `(M,)` below `levels`."""
    p, q = (
        torch.bincount(codes, minlength=levels).double() / len(codes) for codes in (first, second)
    )
    return torch.minimum(p, q).sum().item()


def compare_correlations(real: Tensor, synthetic: Tensor) -> Tensor:
    """1 − ½ |ρ_p − ρ_q| of each pair of columns of `(N, D)` and `(M, D)`: `(D (D − 1) / 2,)`.

    NaN for a pair that is not correlated in `real`, or whose correlation is not defined.
    """
    first, second = correlate(real), correlate(synthetic)
    scores = torch.where(first.abs() > MIN_CORRELATION, 1 - (first - second).abs() / 2, torch.nan)
    upper = torch.ones_like(scores, dtype=torch.bool).triu(1)
    return scores[upper]


def correlate(rows: Tensor) -> Tensor:
    """Pearson's correlation of each pair of columns over the rows that have both: `(D, D)`.

    All sums over the rows that two columns have in common are matrix products with the mask of the
    values that are there.
    """
    is_there = (~rows.isnan()).double()
    counts = is_there.sum(0).clamp(min=1)
    centred = (rows - rows.nansum(0) / counts).nan_to_num()
    scale = (centred.square().sum(0) / counts).sqrt()
    has_one_value = rows.nan_to_num(nan=torch.inf).amin(0) >= rows.nan_to_num(nan=-torch.inf).amax(
        0
    )
    z = centred / torch.where(has_one_value, torch.nan, scale)
    z = torch.where(is_there > 0, z, torch.where(has_one_value, torch.nan, 0.0))
    common, sums = is_there.T @ is_there, z.T @ is_there
    variances = z.square().T @ is_there - sums.square() / common
    variances = torch.where(variances > NO_VARIANCE, variances, torch.nan)
    return (z.T @ z - sums * sums.T / common) / (variances * variances.T).sqrt()


@final
@dataclass(frozen=True)
class Levels:
    """A column as int64 codes `(N,)` from 0 to `count` − 1."""

    codes: Tensor
    count: int


def to_levels(values: Tensor, column: Column) -> Levels:
    """The codes of a category, or the bins of a measured column; a missing value has its own."""
    if not column.is_measured:
        count = len(column.categories)
        return Levels(values.nan_to_num(nan=count).long(), count + 1)
    numbers = values.numpy()
    edges = np.histogram_bin_edges(numbers[~np.isnan(numbers)])  # ten bins
    # the largest value has a bin of its own, which SDMetrics gives to missing values too
    return Levels(torch.from_numpy(np.digitize(numbers, edges)), len(edges) + 1)


def compare_contingency(real: tuple[Levels, Levels], synthetic: tuple[Levels, Levels]) -> float:
    """1 minus the total variation distance of two columns together.

    NaN if they are not associated in `real`.
    """
    count = real[1].count
    first, second = (one.codes * count + other.codes for one, other in (real, synthetic))
    cells = real[0].count * count
    if cells > DENSE_CELLS * (len(first) + len(second)):
        _, together = torch.unique(torch.cat([first, second]), return_inverse=True)
        first, second = together.split([len(first), len(second)])
        cells = int(together.max()) + 1
    if not associate(*real, first) > MIN_ASSOCIATION:
        return torch.nan
    return overlap(first, second, cells)


def associate(first: Levels, second: Levels, cells: Tensor) -> float:
    """Cramér's V of two columns, from the code of the cell `(N,)` that each row is in.

    Σ_uv p(u, v)² / (p(u) p(v)) is the mean over rows of p(u, v) / (p(u) p(v)).
    """
    rows, columns, both = (torch.bincount(codes) for codes in (first.codes, second.codes, cells))
    levels = min(int((rows > 0).sum()), int((columns > 0).sum()))
    if levels < 2:  # noqa: PLR2004
        return torch.nan
    lift = both[cells].double() * len(cells) / (rows[first.codes] * columns[second.codes])
    return math.sqrt(max(0.0, lift.mean().item() - 1) / (levels - 1))
