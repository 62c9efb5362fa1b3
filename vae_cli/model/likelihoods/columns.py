"""The likelihood of a row of a table: a distribution for each column, of the kind of the column.

Columns are independent given the latents, and only what is observed counts (Nazabal et al., 2020,
https://arxiv.org/abs/1807.03653, eq. 3):

    log p(x|z) = Σ_j o_j log p(x_j|z)              o_j is 0 where the value of column j is missing

    a value with a density       log N(x; μ, σ²)                   a learned σ for each column
    a value with a probability   log [Φ((x + h − μ)/σ) − Φ((x − h − μ)/σ)]
    a category                   log softmax(logits)

The codec says which values have a probability: those of a grid, such as integers, and those that
many rows have. Each of them is an interval of normal scores, x ± h. What is left on both sides of
all intervals is the probability of values beyond the training set, so that the sum is 1. A category
has a logit for each of its texts. In place of the normal distribution, there is Student's t.

With the objective of Burda et al. (2016), this is the MIWAE of Mattei & Frellsen (2019,
https://arxiv.org/abs/1812.02633).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, assert_never, final

import torch
from torch import Tensor, nn

from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood
from vae_cli.model.table_codec import RowLayout, TableCodec, segment_max
from vae_cli.noise import Noise

Family = Literal["gaussian", "student"]
LOG_2PI = math.log(2 * math.pi)
# Of a column that is predicted exactly, log σ² would go to −infinity. Scores of a frequent value or
# of a grid have intervals, of which some are narrow.
MIN_LOG_VARIANCE, MIN_SCORE_LOG_VARIANCE = -8.0, -13.8
# Adam moves a parameter by at most the learning rate in a step, and the scale of a column that
# follows from others has a long way to go. Times this, it is there in a few epochs.
PACE = 20.0
MAX_LOGIT = 40.0  # exp of it, summed over 100,000 categories, is a float32
MIN_FREQUENCY = 1e-6  # of a category, for the start of its logit
SQRT_HALF, SQRT_2_OVER_PI = math.sqrt(0.5), math.sqrt(2 / math.pi)
DEEP = -8.0  # inside of an interval, where its probability is 1 up to 1e-28, and exp(64) a float32
NARROW = 1e-3  # half the width of an interval in units of σ, below which its density is constant


@final
class NormalCosts(torch.autograd.Function):
    """−2 log p of values with a probability or a density, and its exact gradient.

    Of an interval x ± h, with z = (x − μ) / σ and w = h / σ, log [Φ(z + w) − Φ(z − w)] is

        log ½ − a² + log d,          a = (|z| − w) / √2,    b = (|z| + w) / √2
        d = erfcx(a) − exp(−2 |z| w) erfcx(b),              erfcx(a) = exp(a²) erfc(a)

    in which no probability is rounded to 0 or 1, however far z is. Its derivatives are densities at
    both ends divided by the probability, √(2/π) / d and exp(−2 |z| w) √(2/π) / d. A narrow interval
    has the probability 2 h times the density at its middle; without a width, it is the density.

    Autograd would need three times the operations of `backward`, which a small network notices.
    """

    @staticmethod
    def forward(ctx: Any, errors: Tensor, log_variance: Tensor, half: Tensor) -> Tensor:
        """The costs, `(..., M)`.

        Args:
            ctx: what the gradient needs.
            errors: x − μ, `(..., M)`.
            log_variance: log σ², `(..., M)`.
            half: h, in any shape that can be expanded; 0 is a density. It has no gradient.
        """
        scale = (-0.5 * log_variance).exp()
        z, width = errors * scale, half * scale
        size, w = z.abs(), width.clamp(min=NARROW)
        a = ((size - w) * SQRT_HALF).clamp(min=DEEP)
        ratio = torch.exp(-2 * size * w)
        d = torch.special.erfcx(a) - ratio * torch.special.erfcx((size + w) * SQRT_HALF)
        is_wide = width > NARROW
        offset = torch.where(half > 0, LOG_2PI - 2 * (2 * half).log(), LOG_2PI)
        narrow = z * z + (log_variance + offset)
        ctx.save_for_backward(z, scale, w, ratio, d, is_wide)
        return torch.where(is_wide, 2 * (a * a - (0.5 * d).log()), narrow)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """The gradients by the errors and by log σ²."""
        (gradient,), (z, scale, w, ratio, d, is_wide) = gradients, ctx.saved_tensors
        near = 2 * SQRT_2_OVER_PI / d
        far = near * ratio
        by_z = torch.where(is_wide, z.sign() * (near - far), 2 * z)
        by_width = torch.where(is_wide, 0.5 * w * (near + far), 1.0)
        return gradient * scale * by_z, gradient * (by_width - 0.5 * z * by_z), None


@final
class StudentCosts(torch.autograd.Function):
    """The same as `NormalCosts` for Student's t distribution with 4 degrees of freedom.

    Its distribution function has a closed form, F(t) = ½ + ¼ (3 u − u³) with u = t / √(4 + t²), so

        F(b) − F(a) = ¼ (u_b − u_a) (3 − u_a² − u_a u_b − u_b²)

    Both factors are written without differences of numbers that are nearly equal. The density is
    f(t) = 12 (4 + t²)^(−5/2).
    """

    @staticmethod
    def forward(ctx: Any, errors: Tensor, log_variance: Tensor, half: Tensor) -> Tensor:
        """The costs, `(..., M)`; the arguments are those of `NormalCosts`."""
        scale = (-0.5 * log_variance).exp()
        z, width = errors * scale, half * scale
        size, w = z.abs(), width.clamp(min=NARROW)
        a, b = size - w, size + w
        root_a, root_b = (4 + a * a).sqrt(), (4 + b * b).sqrt()
        roots, is_tail = root_a * root_b, a > 0
        difference = torch.where(
            is_tail, 16 * size * w / (roots * (b * root_a + a * root_b)), b / root_b - a / root_a
        )
        mixed = torch.where(
            is_tail, (16 + 4 * (a * a + b * b)) / (roots * (roots + a * b)), 1 - a * b / roots
        )
        probability = 0.25 * difference * (4 / root_a**2 + mixed + 4 / root_b**2)
        is_wide = width > NARROW
        offset = torch.where(half > 0, (2 * half).log(), 0.0) + math.log(12)
        narrow = 5 * (4 + z * z).log() + log_variance - 2 * offset
        ctx.save_for_backward(z, scale, w, root_a, root_b, probability, is_wide)
        return torch.where(is_wide, -2 * probability.log(), narrow)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """The gradients by the errors and by log σ²."""
        (gradient,), (z, scale, w, root_a, root_b, probability, is_wide) = (
            gradients,
            ctx.saved_tensors,
        )
        near, far = (24 / (root**5 * probability) for root in (root_a, root_b))
        by_z = torch.where(is_wide, z.sign() * (near - far), 10 * z / (4 + z * z))
        by_width = torch.where(is_wide, 0.5 * w * (near + far), 1.0)
        return gradient * scale * by_z, gradient * (by_width - 0.5 * z * by_z), None


@final
@dataclass(frozen=True)
class Cells:
    """Which normal scores stand for a value with a probability.

    Attributes:
        edges: between the segments of each measured column, `(M, K)`, rising.
        half_widths: half the interval of a value before each edge and after the last, `(M, K + 1)`;
            0 is a density.
    """

    edges: Tensor
    half_widths: Tensor

    def half_width(self, values: Tensor) -> Tensor:
        """Half the width of the interval of each value, for values `(B, M)`; 0 is a density."""
        place = torch.searchsorted(self.edges, values.T.contiguous())
        return self.half_widths.gather(1, place).T


@final
@dataclass(frozen=True)
class Numbers:
    """Independent measured columns of an encoded row, with a location and a scale in its space.

    Attributes:
        location: μ, `(..., M)`.
        log_variance: log σ², `(M,)`.
        changes: 0 for a column that never changes and 1 for the others, `(M,)`.
        cells: which values have a probability; None if all have densities.
        family: of the distributions: N(μ, σ²), or μ + σ t with Student's t of 4 degrees of freedom.
    """

    location: Tensor
    log_variance: Tensor
    changes: Tensor
    cells: Cells | None
    family: Family = "gaussian"

    @property
    def offset(self) -> float:
        """What `costs` leaves out: log 2π if all values have normal densities."""
        return LOG_2PI if self.cells is None and self.family == "gaussian" else 0.0

    def costs(self, values: Tensor) -> Tensor:
        """−2 log p of each value without `offset`: `(..., M)`."""
        errors = values - self.location
        if self.offset:
            return errors**2 * (-self.log_variance).exp() + self.log_variance
        half = torch.zeros_like(values) if self.cells is None else self.cells.half_width(values)
        log_variance = self.log_variance.expand_as(errors)
        costs: Tensor
        match self.family:
            case "gaussian":
                costs = NormalCosts.apply(errors, log_variance, half)
            case "student":
                costs = StudentCosts.apply(errors, log_variance, half)
            case _:
                assert_never(self.family)
        return costs

    def sample(self, noise: Noise) -> Tensor:
        """One sample, `(..., M)`; of a column that never changes, it is its mean."""
        scale = self.changes * (0.5 * self.log_variance).exp()
        draw = noise.normal_like(self.location)
        if self.family == "student":  # 4 / χ² with 4 degrees of freedom
            first, second = (noise.exponential_like(draw) for _ in range(2))
            draw = draw * (2 / (first + second)).sqrt()
        return self.location + scale * draw


@final
@dataclass(frozen=True)
class Categories:
    """Independent categories, one of those of each of J columns.

    Attributes:
        logits: of all categories of all columns side by side, `(..., C)`.
        segments: the column of each of them, int64 `(C,)`.
        count: J.
    """

    logits: Tensor
    segments: Tensor
    count: int

    def log_totals(self) -> Tensor:
        """Log Σ exp of the logits of each column, `(..., J)`."""
        return segment_sum(self.logits.exp(), self.segments, self.count).log()

    def probabilities(self) -> Tensor:
        """The probability of each category, `(..., C)`."""
        return (self.logits - self.log_totals()[..., self.segments]).exp()

    def log_probs(self, one_hot: Tensor) -> Tensor:
        """Log of the probability of the category of each column, `(..., J)`."""
        chosen = segment_sum(self.logits * one_hot, self.segments, self.count)
        return chosen - self.log_totals()

    def sample(self, noise: Noise) -> Tensor:
        """One-hot vectors, `(..., C)`: the largest logit with Gumbel noise in each column."""
        disturbed = self.logits - noise.exponential_like(self.logits).log()
        largest = segment_max(disturbed.flatten(0, -2), self.segments, self.count)
        largest = largest.view(*disturbed.shape[:-1], self.count)
        return (disturbed == largest[..., self.segments]).float()


def segment_sum(values: Tensor, segments: Tensor, count: int) -> Tensor:
    """The sum of the values `(..., C)` of each segment: `(..., count)`."""
    return values.new_zeros(*values.shape[:-1], count).index_add(-1, segments, values)


@final
@dataclass(frozen=True)
class TableRow(Distribution):
    """Independent columns of a table, encoded by a `TableCodec`.

    Attributes:
        layout: of an encoded row.
        numbers: the measured columns.
        categories: the others; None if there are none.
    """

    distortion_name = "nll"
    layout: RowLayout
    numbers: Numbers
    categories: Categories | None

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        """Means of the measured columns, probabilities of the categories, and nothing missing."""
        categories = self.categories.probabilities() if self.categories else None
        return self._join(self.numbers.location, categories)

    @property
    def constant(self) -> float | Tensor:
        """½ D log 2π if all D columns that change have a density and no value can be missing.

        Otherwise it depends on the row, and is a part of the distortion.
        """
        return 0.5 * LOG_2PI * self.numbers.changes.sum() if self._has_constant else 0.0

    @property
    def _has_constant(self) -> bool:
        return bool(self.numbers.offset) and not self.layout.has_indicators

    def distortion(self, x: Tensor) -> Tensor:
        """The negative log-likelihood of what is observed, without `constant`."""
        values, one_hot, missing = self.layout.split(x)
        numbers, categories = self._observed(missing)
        costs = self.numbers.costs(values)
        if self.numbers.offset and not self._has_constant:
            costs = costs + self.numbers.offset
        total = 0.5 * (costs * numbers).sum(-1)
        if self.categories is None:
            return total
        log_totals = self.categories.log_totals()
        norm = log_totals if categories is None else log_totals * categories
        return total + norm.sum(-1) - (self.categories.logits * one_hot).sum(-1)

    def log_prob_by_column(self, x: Tensor) -> Tensor:
        """Log p(x_j|z) in nats for every column of the table: `(..., B, D)`; 0 if it is missing.

        The sum over the columns is `log_prob`.
        """
        values, one_hot, missing = self.layout.split(x)
        numbers, categories = self._observed(missing)
        parts = [-0.5 * (self.numbers.costs(values) + self.numbers.offset) * numbers]
        if self.categories is not None:
            log_probs = self.categories.log_probs(one_hot)
            parts.append(log_probs if categories is None else log_probs * categories)
        joined = torch.cat(parts, -1)
        whole = joined.new_zeros(*joined.shape[:-1], len(self.layout.columns))
        places = torch.tensor(self.layout.learned, device=x.device, dtype=torch.int64)
        return whole.index_copy(-1, places, joined)

    def sample(self, noise: Noise) -> Tensor:
        """One sample, `(..., W)`, in which nothing is missing."""
        values = self.numbers.sample(noise)
        return self._join(values, self.categories.sample(noise) if self.categories else None)

    def _join(self, values: Tensor, categories: Tensor | None) -> Tensor:
        parts = [values] if categories is None else [values, categories]
        if self.layout.has_indicators:
            parts.append(values.new_zeros(*values.shape[:-1], self.layout.parts[2]))
        return torch.cat(parts, -1)

    def _observed(self, missing: Tensor) -> tuple[Tensor, Tensor | None]:
        """Which measured columns and which categories count; None is all."""
        if not self.layout.has_indicators:
            return self.numbers.changes, None
        observed = (1 - missing).split(
            (len(self.layout.measured), len(self.layout.categorical)), -1
        )
        return self.numbers.changes * observed[0], observed[1]


@final
class TableLikelihood(Likelihood):
    """A distribution for each column of a table, with one learned σ per measured column.

    Args:
        codec: of the rows.
        family: of the distributions of measured columns.

    Example:
        >>> import torch
        >>> from vae_cli.data.columns import Column
        >>> from vae_cli.model.table_codec import RowLayout, unfitted_codec
        >>> cut = Column(name="cut", kind="category", categories=("Fair", "Good"))
        >>> layout = RowLayout((Column(name="price"), cut), has_indicators=True)
        >>> codec = unfitted_codec(layout, "standard")
        >>> row = TableLikelihood(codec)(torch.zeros(2, 3))
        >>> rows = torch.tensor([[0.0, float("nan")], [float("nan"), 1.0]])
        >>> row.log_prob_by_column(codec.encode(rows)).exp().detach()  # 1 where it is missing
        tensor([[0.3989, 1.0000],
                [1.0000, 0.5000]])
    """

    changes: Tensor
    edges: Tensor | None
    half_widths: Tensor | None
    segments: Tensor | None

    def __init__(self, codec: TableCodec, family: Family = "gaussian") -> None:
        super().__init__()
        self.layout, self.family = codec.layout, family
        self.log_variance = nn.Parameter(torch.zeros(len(codec.layout.measured)))
        self.register_buffer("changes", codec.changes.float())
        edges, half_widths = codec.cells() or (None, None)
        # What is None is not kept in a checkpoint.
        self.register_buffer("edges", None if edges is None else edges.float())
        self.register_buffer("half_widths", None if half_widths is None else half_widths.float())
        is_categorical = bool(codec.layout.categorical)
        self.register_buffer("segments", codec.layout.segments() if is_categorical else None)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:  # noqa: ARG002
        """A location for each measured column, and a logit for each category."""
        values, categories, _ = self.layout.parts
        return (values + categories,)

    def forward(self, outputs: Tensor) -> TableRow:
        """The distribution for raw outputs `(..., M + C)`."""
        location, logits = outputs.float().split(self.layout.parts[:2], -1)
        cells, categories = None, None
        if self.edges is not None and self.half_widths is not None:
            cells = Cells(self.edges, self.half_widths)
        if self.segments is not None:
            logits = logits.clamp(-MAX_LOGIT, MAX_LOGIT)
            categories = Categories(logits, self.segments, len(self.layout.sizes))
        numbers = Numbers(location, self._log_variances(), self.changes, cells, self.family)
        return TableRow(self.layout, numbers, categories)

    def _log_variances(self) -> Tensor:
        """Log σ² of each measured column; without scores, as in runs of earlier versions."""
        if self.edges is None:
            return self.log_variance.clamp(min=MIN_LOG_VARIANCE)
        return (PACE * self.log_variance).clamp(min=MIN_SCORE_LOG_VARIANCE)

    def outputs_for(self, mean: Tensor) -> Tensor:
        """Means over the rows in which a value is observed, and log frequencies."""
        values, frequencies, missing = self.layout.split(mean)
        if self.layout.has_indicators:
            values = values / (1 - missing[: len(values)]).clamp(min=MIN_FREQUENCY)
        return torch.cat([values, frequencies.clamp(min=MIN_FREQUENCY).log()])
