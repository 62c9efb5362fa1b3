"""The way between the rows of a table and what a network takes.

A row is float64 `(D,)`, one number per column, whatever the column holds (`data/columns.py`). A
network takes values of about unit size, one-hot vectors of categories, and for each column whether
its value is missing (Nazabal et al., 2020, https://arxiv.org/abs/1807.03653). `RowLayout` says
where they are, `TableCodec` is the map, and `fit_codec` measures it on a training set.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Self, assert_never, final

import torch
from torch import Tensor, nn

from vae_cli.data.columns import Column, Normalization
from vae_cli.data.split import InMemory
from vae_cli.data.streamed import SplitT
from vae_cli.model.codec import Codec
from vae_cli.model.normal_scores import KNOTS, NormalScores, fit_knots
from vae_cli.noise import Noise


@final
@dataclass(frozen=True)
class RowLayout:
    """Where the columns of a table are in what a network takes.

        x = [ a value per measured column | one-hot vectors of categories | 1 if it is missing ]

    Measured columns are those of numbers, integers and dates. In each part, the columns are in the
    order of the table; the last part has measured columns before categories. A constant has no
    place.

    Attributes:
        columns: all columns of the table.
        has_indicators: whether there is the last part.

    Example:
        >>> from vae_cli.data.columns import Column
        >>> cut = Column(name="cut", kind="category", categories=("Fair", "Good"))
        >>> layout = RowLayout((cut, Column(name="price")), has_indicators=True)
        >>> layout.measured, layout.categorical, layout.width  # 1 value, 2 categories, 2 indicators
        ([1], [0], 5)
    """

    columns: tuple[Column, ...]
    has_indicators: bool = False

    @cached_property
    def measured(self) -> list[int]:
        """The places in a row of the columns whose values are on a scale."""
        return [place for place, column in enumerate(self.columns) if column.is_measured]

    @cached_property
    def categorical(self) -> list[int]:
        """The places in a row of the categories."""
        return [place for place, one in enumerate(self.columns) if one.kind == "category"]

    @cached_property
    def sizes(self) -> list[int]:
        """The number of categories of each column of them."""
        return [len(self.columns[place].categories) for place in self.categorical]

    @cached_property
    def learned(self) -> list[int]:
        """The places in a row of the columns that are no constants, in the order of indicators."""
        return self.measured + self.categorical

    @cached_property
    def parts(self) -> tuple[int, int, int]:
        """The widths of the three parts."""
        indicators = len(self.learned) if self.has_indicators else 0
        return len(self.measured), sum(self.sizes), indicators

    @property
    def width(self) -> int:
        """The width of the whole."""
        return sum(self.parts)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three parts of `x` `(..., W)`."""
        values, one_hot, missing = x.split(self.parts, -1)
        return values, one_hot, missing

    def segments(self) -> Tensor:
        """The column of each category, counted among those of categories: int64 `(C,)`."""
        columns = [column for column, size in enumerate(self.sizes) for _ in range(size)]
        return torch.tensor(columns, dtype=torch.int64)

    def starts(self) -> Tensor:
        """The place of the first category of each column in their part: int64."""
        return torch.tensor([0, *accumulate(self.sizes)][:-1], dtype=torch.int64)


@final
class Standardizer(nn.Module):
    """Values in units of their standard deviations, from their means.

    Args:
        mean: float64 `(S,)`, over the training set.
        std: float64 `(S,)`, over the training set; 0 for a column that never changes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.double())
        self.register_buffer("std", std.double())

    def forward(self, values: Tensor) -> Tensor:
        """Values `(..., S)` of about unit size."""
        return (values - self.mean) / torch.where(self.std > 0, self.std, 1.0)

    def invert(self, x: Tensor) -> Tensor:
        """Values in the units of the data; a column that never changes has its constant."""
        return self.mean + self.std * x.double()

    def log_slopes(self) -> Tensor:
        """Log of the derivative, `(S,)`; 0 for a column that never changes."""
        return -torch.where(self.std > 0, self.std, 1.0).log()


@final
class TableCodec(Codec):
    """Rows as values of about unit size, one-hot vectors, and indicators of missing values.

    A measured column is standardized, or it is mapped to normal scores (`NormalScores`). A missing
    value is 0 in every part but that of the indicators.

    The arithmetic is in float64, so that a large mean does not hide small differences. It is done
    on the processor, where the tensors stay: not every device has float64.

    Args:
        layout: of what a network takes.
        standard: of the columns that are standardized, in the order of the table.
        scores: of the other measured columns; None if there are none.
        normalizations: of each measured column.

    Attributes:
        input_shape: `(W,)`, of what a network takes.

    Example:
        >>> import torch
        >>> from vae_cli.data.columns import Column
        >>> sex = Column(name="sex", kind="category", categories=("f", "m"))
        >>> rows = torch.tensor([[30.0, 0], [50, 1], [float("nan"), 1]]).double()
        >>> layout = RowLayout((Column(name="age"), sex), has_indicators=True)
        >>> codec = fit_codec(layout, InMemory.whole(rows), "standard")
        >>> codec.encode(rows)
        tensor([[-1.,  1.,  0.,  0.,  0.],
                [ 1.,  0.,  1.,  0.,  0.],
                [ 0.,  0.,  1.,  1.,  0.]])
        >>> codec.decode(codec.encode(rows)).tolist()
        [[30.0, 0.0], [50.0, 1.0], [nan, 1.0]]
    """

    def __init__(
        self,
        layout: RowLayout,
        standard: Standardizer,
        scores: NormalScores | None,
        normalizations: Sequence[Normalization],
    ) -> None:
        super().__init__()
        self.layout, self.standard, self.scores = layout, standard, scores
        self.input_shape = (layout.width,)
        self.by_scores = places_of("quantile", normalizations)
        self.by_deviation = places_of("standard", normalizations)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:  # noqa: ARG002
        return self  # called by .to(), .cuda(), .half() and the like

    @property
    def changes(self) -> Tensor:
        """Which measured columns change, bool `(M,)`: the others are not learned."""
        changes = torch.ones(len(self.layout.measured), dtype=torch.bool, device=self.device)
        changes[self.by_deviation] = self.standard.std > 0
        return changes

    def observed(self, x: Tensor) -> Tensor:
        """1 for what is learned and not missing in encoded rows `(B, W)`, and 0 for the rest."""
        values, one_hot, missing = self.layout.split(torch.ones_like(x))
        if not self.layout.has_indicators:
            return torch.cat([values * self.changes.to(x), one_hot], 1)
        known = 1 - x[:, -missing.shape[1] :]
        segments = self.layout.segments().to(x.device) + values.shape[1]
        measured = known[:, : values.shape[1]] * self.changes.to(x)
        return torch.cat([measured, known[:, segments], torch.zeros_like(missing)], 1)

    def cells(self) -> tuple[Tensor, Tensor] | None:
        """The knots of the scores of each measured column, and half the widths of its cells.

        They are `(M, K)` and `(M, K + 1)`, with 0 before the first knot and after the last. A
        column that is standardized has no cells; None if all are.
        """
        if self.scores is None:
            return None
        edges = self.scores.scores.new_zeros(len(self.layout.measured), KNOTS)
        half_widths = edges.new_zeros(len(edges), KNOTS + 1)
        edges[self.by_scores] = self.scores.scores
        half_widths[self.by_scores, 1:-1] = self.scores.half_widths()
        return edges, half_widths

    @property
    def device(self) -> torch.device:
        """The processor, or `meta` for a codec without memory."""
        return self.standard.mean.device

    def encode(self, items: Tensor, noise: Noise | None = None) -> Tensor:  # noqa: ARG002
        """Rows `(B, D)` in the units of the data, with NaN where a value is missing: `(B, W)`."""
        rows = items.cpu().double()
        learned = rows[:, self.layout.learned]
        missing = learned.isnan()
        measured, categories = learned.split(
            (len(self.layout.measured), len(self.layout.categorical)), 1
        )
        values = torch.where(measured.isnan(), 0.0, self._encode_values(measured))
        parts = [values.float(), self._one_hot(categories)]
        if self.layout.has_indicators:
            parts.append(missing.float())
        return torch.cat(parts, 1)

    def _encode_values(self, measured: Tensor) -> Tensor:
        values = torch.empty_like(measured)
        values[:, self.by_deviation] = self.standard(measured[:, self.by_deviation])
        if self.scores is not None:
            values[:, self.by_scores] = self.scores(measured[:, self.by_scores])
        return values

    def _one_hot(self, categories: Tensor) -> Tensor:
        empty = torch.zeros(len(categories), self.layout.parts[1])
        places = self.layout.starts() + categories.nan_to_num(0.0).long()
        return empty.scatter_(1, places, (~categories.isnan()).float())

    def decode(self, x: Tensor) -> Tensor:
        """Rows `(..., D)` in float64, in the units of the data, for encoded ones `(..., W)`.

        A category is the most probable one. What is marked as missing is NaN, and a constant is 0.
        """
        flat = x.detach().cpu().reshape(-1, self.layout.width)
        values, one_hot, missing = self.layout.split(flat)
        rows = torch.zeros(len(flat), len(self.layout.columns), dtype=torch.float64)
        measured = torch.empty(values.shape, dtype=torch.float64)
        measured[:, self.by_deviation] = self.standard.invert(values[:, self.by_deviation])
        if self.scores is not None:
            measured[:, self.by_scores] = self.scores.invert(values[:, self.by_scores])
        rows[:, self.layout.measured] = measured
        rows[:, self.layout.categorical] = self._most_probable(one_hot)
        if self.layout.has_indicators:
            is_missing = torch.zeros(rows.shape, dtype=torch.bool)
            is_missing[:, self.layout.learned] = missing > 0.5  # noqa: PLR2004
            rows[is_missing] = torch.nan
        return rows.view(*x.shape[:-1], -1)

    def _most_probable(self, one_hot: Tensor) -> Tensor:
        """The first category with the largest number in each column: float64 `(N, J)`."""
        segments, count = self.layout.segments(), len(self.layout.sizes)
        largest = segment_max(one_hot, segments, count)
        places = torch.arange(one_hot.shape[1]).expand_as(one_hot)
        last = places.numel() + 1
        first = torch.where(one_hot == largest[:, segments], places, last)
        index = segments.expand_as(one_hot)
        found = torch.full((len(one_hot), count), last).scatter_reduce(1, index, first, "amin")
        return (found - self.layout.starts()).double()

    def log_abs_det(self, x: Tensor) -> Tensor:
        """Log of the derivative of the observed values by those in the units of the data.

        It counts values with a density. Values with a probability have none.

        Returns:
            `(B,)` for encoded rows `(B, W)`, float64 on the processor.
        """
        by_column: Tensor = self.log_abs_det_by_column(x)
        return by_column.sum(-1)

    def log_abs_det_by_column(self, x: Tensor) -> Tensor:
        """The same of each column of the table: `(B, D)`."""
        values, _, missing = self.layout.split(x.detach().cpu())
        slopes = torch.empty(values.shape, dtype=torch.float64)
        slopes[:, self.by_deviation] = self.standard.log_slopes()
        if self.scores is not None:
            slopes[:, self.by_scores] = self.scores.log_slopes(values[:, self.by_scores])
        if self.layout.has_indicators:
            slopes = slopes * (1 - missing[:, : values.shape[1]].double())
        rows = torch.zeros(len(x), len(self.layout.columns), dtype=torch.float64)
        rows[:, self.layout.measured] = slopes
        return rows

    def encode_split(self, split: SplitT, *, fixed: bool = True) -> SplitT:  # noqa: ARG002
        """A part of a table whose rows are encoded when they are asked for."""
        return replace(split, encode=self.encode)


def segment_max(values: Tensor, segments: Tensor, count: int) -> Tensor:
    """The largest of the values `(N, C)` of each segment: `(N, count)`."""
    empty = values.new_full((len(values), count), -torch.inf)
    return empty.scatter_reduce(1, segments.expand_as(values), values, "amax")


def places_of(name: Normalization, normalizations: Sequence[Normalization]) -> list[int]:
    """Where a normalization is among those of the measured columns."""
    return [place for place, one in enumerate(normalizations) if one == name]


def normalizations_of(layout: RowLayout, default: Normalization) -> list[Normalization]:
    """How each measured column becomes what a network takes."""
    return [layout.columns[place].normalization or default for place in layout.measured]


def unfitted_codec(layout: RowLayout, default: Normalization) -> TableCodec:
    """A codec whose numbers are to be loaded: means 0 and deviations 1."""
    normalizations = normalizations_of(layout, default)
    count = len(places_of("standard", normalizations))
    others = len(normalizations) - count
    scores = NormalScores.unfitted(others) if others else None
    standard = Standardizer(torch.zeros(count), torch.ones(count))
    return TableCodec(layout, standard, scores, normalizations)


MAX_FITTED = 200_000  # rows, of which the distribution of a column is measured


def fit_codec(layout: RowLayout, train: InMemory, default: Normalization) -> TableCodec:
    """The codec of a training set, from the values that are not missing.

    Args:
        layout: of what the network takes.
        train: the rows.
        default: the normalization of the columns that have none of their own.
    """
    normalizations = normalizations_of(layout, default)
    moments, knots, steps = [], [], []
    columns = gather_columns(train, layout.measured)
    for place, normalization, values in zip(layout.measured, normalizations, columns, strict=True):
        observed = values[~values.isnan()]
        match normalization:
            case "standard":
                moments.append(measure_moments(observed))
            case "quantile":
                steps.append(step_of(layout.columns[place], observed))
                knots.append(fit_knots(take_some(observed), steps[-1]))
            case _:
                assert_never(normalization)
    mean, std = (
        torch.tensor([one[part] for one in moments], dtype=torch.float64) for part in (0, 1)
    )
    scores = NormalScores(knots, steps) if knots else None
    return TableCodec(layout, Standardizer(mean, std), scores, normalizations)


MAX_GATHERED = 2**23  # values of some columns that are gathered together, 64 MiB
GATHERED_ROWS = 4096  # at a time, which the cache of a core holds


def gather_columns(train: InMemory, places: Sequence[int]) -> Iterator[Tensor]:
    """The values of some columns in all rows of a part, float64 `(N,)`, one column after the other.

    The rows of a part are in random order. Memory gives a whole line of a row at a time, so that
    several columns together cost little more than one.
    """
    together = max(1, MAX_GATHERED // len(train))
    for start in range(0, len(places), together):
        some = places[start : start + together]
        values = torch.empty(len(some), len(train), dtype=torch.float64)
        for rows, part in zip(
            train.rows.split(GATHERED_ROWS), values.split(GATHERED_ROWS, 1), strict=True
        ):
            part.copy_(train.items.index_select(0, rows)[:, some].T)
        yield from values


def measure_moments(observed: Tensor) -> tuple[float, float]:
    """Mean and standard deviation; the deviation of equal values is exactly 0."""
    if not len(observed) or bool((observed == observed[0]).all()):
        return float(observed[0]) if len(observed) else 0.0, 0.0
    return float(observed.mean()), float(observed.std(correction=0))


def take_some(observed: Tensor) -> Tensor:
    """Enough values to know their distribution, with the smallest and the largest of all."""
    if len(observed) <= MAX_FITTED:
        return observed
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(observed), (MAX_FITTED,), generator=generator)
    return torch.cat([observed[chosen], torch.stack(observed.aminmax())])


SECONDS_PER_DAY = 86_400.0


def step_of(column: Column, observed: Tensor) -> float:
    """The distance between two points of the grid of a column's values; 0 if it has none."""
    match column.kind:
        case "integer":
            return 1.0
        case "number":
            return 0.0 if column.format.decimals is None else 10.0**-column.format.decimals
        case "date":
            is_day = bool((observed % SECONDS_PER_DAY == 0).all())
            return SECONDS_PER_DAY if is_day else 1.0
        case "category" | "constant":
            raise ValueError(f"{column.name} is not measured")
        case _:
            assert_never(column.kind)
