"""Monotone maps between the values of a column and normal scores.

A network learns best from numbers of about unit size, and a normal likelihood fits what is normal.
Columns of a table are neither: they are skewed, have two modes, or are 0 in most rows. The map

    score = Φ⁻¹(F(value))        F the distribution function of the column, Φ that of N(0, 1)

makes a standard normal variable of any of them. Its inverse gives samples the distribution, the
range and the frequent values of the column (van Albada & Robinson, 2007,
https://doi.org/10.1016/j.jneumeth.2006.11.004).

Here, the map is piecewise linear between knots. Values that lie on a grid, such as integers, have
their knots between two points of the grid, so that each of them is a cell: an interval of scores,
whose probability is that of the value. A value that many rows have, such as 0, is a cell of its
own. So is one of a column without a grid: two knots with the same value, and different scores.

Beyond the values of the training set, a score grows with the logarithm of the distance,

    score = last score + log(1 + slope · distance)        with the slope of the last segment

so that a value that is ten thousand deviations away is still a number that a network can take, and
is further away than all others.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self, final

import torch
from torch import Tensor, nn

MAX_BINS = 255  # intervals with an equal share of the rows
KNOTS = 2 * MAX_BINS + 2  # a frequent value needs two
ROWS_PER_BIN = 5  # at least; a value in as many rows may be a cell of its own
MIN_STEP = 1e-4  # between the scores of two knots; what lies between two cells has a little share
LARGEST = 1e300  # a distance in float64 that can still be multiplied


class Knots(NamedTuple):
    """Where the map of a column bends: float64 `(KNOTS,)` each; the last ones may be repeated.

    Attributes:
        values: in the units of the data, rising.
        scores: rising.
    """

    values: Tensor
    scores: Tensor


def fit_knots(observed: Tensor, step: float) -> Knots:
    """The knots for the values of a column.

    The distribution function is cut into intervals with an equal share of the values, and also on
    both sides of each value with such a share of its own.

    Args:
        observed: float64 `(n,)`, without missing values.
        step: the distance between two points of the grid of the values; 0 if they have no grid.

    Example:
        >>> knots = fit_knots(torch.tensor([0.0] * 60 + [1.0] * 40).double(), step=1.0)
        >>> knots.values.unique().tolist(), round(knots.scores[1].item(), 2)  # Φ⁻¹(0.6)
        ([-0.5, 0.5, 1.5], 0.25)
    """
    count = len(observed)
    if count == 0:
        return Knots(*torch.zeros(2, KNOTS, dtype=torch.float64))
    points = (observed / step).round() if step else observed
    points, counts = points.sort().values.unique_consecutive(return_counts=True)
    below = counts.cumsum(0)[:-1]  # how many values are on the left of each gap
    share = count / max(1, min(MAX_BINS, count // ROWS_PER_BIN))
    is_cell = counts >= max(share, ROWS_PER_BIN)
    crosses = (below / share).floor() > ((below - counts[:-1]) / share).floor()
    left, right = is_cell[:-1], is_cell[1:]
    half = 0.5 if step else 0.0
    upper, lower = points[:-1] + half, points[1:] - half
    middle = points[:-1] / 2 + points[1:] / 2
    middle = middle.floor() + half if step else middle
    places = torch.stack([torch.where(left, upper, middle), lower], 1)
    is_knot = torch.stack([left | (crosses & ~right), right & ~(left & (upper == lower))], 1)
    shares = (below / count)[:, None].expand(-1, 2)
    ends = points[[0, -1]] + torch.tensor([-half, half], dtype=torch.float64)
    tail = torch.tensor([0.5 / count], dtype=torch.float64)  # beyond the first and the last value
    values = torch.cat([ends[:1], places[is_knot], ends[1:]]) * (step or 1.0)
    scores = torch.special.ndtri(torch.cat([tail, shares[is_knot], 1 - tail]))
    return Knots(*(pad(one) for one in (values, spread(scores))))


def spread(scores: Tensor) -> Tensor:
    """Rising scores with a least distance between them."""
    steps = MIN_STEP * torch.arange(len(scores), dtype=torch.float64)
    return (scores - steps).cummax(0).values + steps


def pad(knots: Tensor) -> Tensor:
    """As many numbers as there may be knots; the last one is repeated."""
    return torch.cat([knots, knots[-1:].expand(KNOTS - len(knots))])


@final
class NormalScores(nn.Module):
    """The maps of several columns, vectorized over columns and rows.

    All arithmetic is in float64, so that a large mean does not hide small differences.

    Args:
        knots: of each of Q columns.
        steps: the distance between two points of the grid of each column; 0 if it has none.

    Example:
        >>> rooms = torch.tensor([1.0, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]).double()
        >>> scores = NormalScores([fit_knots(rooms, 1.0)], [1.0])
        >>> x = scores(rooms[:, None])
        >>> scores.invert(x)[:3, 0].tolist(), scores.invert(torch.tensor([[9.0]])).item()
        ([1.0, 2.0, 2.0], 3.0)
    """

    values: Tensor
    scores: Tensor
    steps: Tensor

    def __init__(self, knots: Sequence[Knots], steps: Sequence[float]) -> None:
        super().__init__()
        values, scores = zip(*knots, strict=True)
        self.register_buffer("values", torch.stack(values))
        self.register_buffer("scores", torch.stack(scores))
        self.register_buffer("steps", torch.tensor(steps, dtype=torch.float64))

    @classmethod
    def unfitted(cls, count: int) -> Self:
        """Maps that are to be loaded; a score is the value itself up to 4 deviations."""
        line = torch.linspace(-4, 4, KNOTS, dtype=torch.float64)
        return cls([Knots(line, line)] * count, [0.0] * count)

    def forward(self, values: Tensor) -> Tensor:
        """Scores for values `(B, Q)`; that of a missing value is not a number."""
        columns = values.T.contiguous()
        place = torch.searchsorted(self.values, columns)
        (low, high), (start, end) = around(self.values, place), around(self.scores, place)
        inside = start + (end - start) * ((columns - low) / (high - low))
        following = pick(self.values, place + 1) == columns
        middle = (pick(self.scores, place) + pick(self.scores, place + 1)) / 2
        inside = torch.where(following, middle, inside)  # of a cell, with two knots of one value
        return self._extend(columns, inside).T

    def _extend(self, columns: Tensor, inside: Tensor) -> Tensor:
        """Scores `(Q, B)` with those of the values beyond the training set."""
        (low, high), (slope_low, slope_high) = ends(self.values), self.end_slopes()
        (start, end) = ends(self.scores)
        below = start - ((low - columns) * slope_low).clamp(0, LARGEST).log1p()
        above = end + ((columns - high) * slope_high).clamp(0, LARGEST).log1p()
        return torch.where(columns < low, below, torch.where(columns > high, above, inside))

    def invert(self, scores: Tensor) -> Tensor:
        """Values for scores `(N, Q)`, within the range of the training set and on its grid."""
        columns = scores.double().T.contiguous()
        place = torch.searchsorted(self.scores, columns)
        (low, high), (start, end) = around(self.values, place), around(self.scores, place)
        part = torch.where(end > start, (columns - start) / (end - start), 0.0).clamp(0, 1)
        return self._to_grid(low + part * (high - low)).T

    def _to_grid(self, columns: Tensor) -> Tensor:
        """The nearest points of the grids within the range of the training set, `(Q, B)`."""
        steps, (low, high) = self.steps[:, None], ends(self.values)
        step = torch.where(steps > 0, steps, 1.0)
        points = (columns.clamp(low + steps / 2, high - steps / 2) / step).round()
        # 3 / 10 is the number that 0.3 is read as; 3 · 0.1 is another one.
        on_grid = torch.where(step >= 1, points * step, points / (1 / step).round())
        return torch.where(steps > 0, on_grid, columns)

    def end_slopes(self) -> tuple[Tensor, Tensor]:
        """The slopes of the first and of the last segment that is no cell, `(Q, 1)`."""
        low, high = ends(self.values)
        second = torch.searchsorted(self.values, low.contiguous(), right=True)
        last = torch.searchsorted(self.values, high.contiguous())
        found = []
        for place in (second, last):
            (start, end), (first, then) = around(self.values, place), around(self.scores, place)
            default = 1 / start.abs().clamp(min=1)  # of a column with one value
            found.append(torch.where(end > start, (then - first) / (end - start), default))
        return found[0], found[1]

    def log_slopes(self, scores: Tensor) -> Tensor:
        """Log of the derivative of the score by the value at scores `(B, Q)`.

        It is 0 in a cell, whose values have a probability. Beyond the training set, values of a
        grid have the density of their score times the distance of two points.
        """
        columns = scores.double().T.contiguous()
        (start, end), (slope_low, slope_high) = ends(self.scores), self.end_slopes()
        step = torch.where(self.steps > 0, self.steps, 1.0)[:, None].log()
        below = slope_low.log() + (columns - start) + step
        above = slope_high.log() - (columns - end) + step
        inside = self.slopes().gather(1, self.segment(columns)).log()
        beyond = torch.where(columns > end, above, inside)
        return torch.where(columns < start, below, beyond).T

    def segment(self, columns: Tensor) -> Tensor:
        """The place of the segment of scores `(Q, B)`; the first or the last one beyond them."""
        return (torch.searchsorted(self.scores, columns) - 1).clamp(0, KNOTS - 2)

    def slopes(self) -> Tensor:
        """The derivative of the score by the value in each segment, `(Q, K − 1)`; 1 in cells."""
        rise, run = self.scores.diff(), self.values.diff()
        return torch.where(self.has_density(), rise / run, 1.0)

    def half_widths(self) -> Tensor:
        """Half the interval of scores of one value in each segment, `(Q, KNOTS − 1)`.

        It is 0 where values have a density. In a segment of n points of a grid, each has the n-th
        part.
        """
        rise, run = self.scores.diff(), self.values.diff()
        width = torch.where(run > 0, self.steps[:, None] * rise / run, rise)
        return torch.where(self.has_density(), 0.0, 0.5 * width)

    def has_density(self) -> Tensor:
        """Whether the values in each segment have a density, bool `(Q, KNOTS − 1)`."""
        return (self.steps[:, None] == 0) & (self.values.diff() > 0)


def pick(table: Tensor, places: Tensor) -> Tensor:
    """The values of each row of a table `(Q, K)` at the nearest places that it has, `(Q, B)`."""
    return table.gather(1, places.clamp(0, table.shape[1] - 1))


def around(table: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The values before and at places of each row of a table, so that there are always two."""
    at = places.clamp(1, table.shape[1] - 1)
    return table.gather(1, at - 1), table.gather(1, at)


def ends(table: Tensor) -> tuple[Tensor, Tensor]:
    """The first and the last value of each row of a table: `(Q, 1)`."""
    return table[:, :1], table[:, -1:]
