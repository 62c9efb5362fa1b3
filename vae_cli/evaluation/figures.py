"""What an evaluation returns: figures with an error and a definition, or the reason for none."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_cli.noise import Noise


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        value: a finite number.
        error: its standard error; None if it has none, or if it is not known.
        definition: what it is, in one line.
    """

    value: float
    error: float | None
    definition: str


@dataclass(frozen=True)
class Absent:
    """A figure that a model cannot have, or that is not a finite number.

    Attributes:
        reason: why, in one line.
    """

    reason: str


Figures = dict[str, Figure | Absent]


def make_figure(value: float, error: float | None, definition: str) -> Figure | Absent:
    """A figure; one that is not a finite number is said to be so."""
    if not math.isfinite(value):
        return Absent("infinite" if math.isinf(value) else "undefined (not a number)")
    return Figure(value, error if error is not None and math.isfinite(error) else None, definition)


def average(values: Tensor, definition: str) -> Figure | Absent:
    """The mean of one value per item `(N,)`, with its standard error over the items.

    The estimates of the items are independent, so the error contains their Monte Carlo noise too.
    """
    error = standard_error(values) if len(values) > 1 else None
    return make_figure(values.double().mean().item(), error, definition)


def standard_error(values: Tensor) -> float:
    """The standard error of the mean of independent values `(N,)`."""
    return values.double().std().item() / math.sqrt(len(values))


def share(successes: Tensor, definition: str) -> Figure | Absent:
    """The share of items `(N,)` for which something holds, with its binomial standard error."""
    value, count = successes.double().mean().item(), len(successes)
    return make_figure(value, math.sqrt(value * (1 - value) / count), definition)


def jackknife_error(
    figure: Callable[..., float], sets: Sequence[Tensor], seed: int, halves: int = 20
) -> float:
    """The standard error of a figure of independent sets of rows: the delete-half jackknife.

    A random half of every set has twice the variance of the whole, and half of that is left if the
    sets are given. So the figures of halves vary as those of other whole sets would (Shao & Wu,
    1989, https://doi.org/10.1214/aos/1176347263). No row is doubled, as the bootstrap does, which
    distances between distributions would take for a difference.

    Args:
        figure: of the sets.
        sets: `(N, ...)` each, of which the figure is.
        seed: of the halves.
        halves: the number of them.

    Example:
        >>> values = torch.arange(100.0)
        >>> error = jackknife_error(lambda some: some.mean().item(), [values], 0, halves=1000)
        >>> round(error, 1), round(standard_error(values), 1)
        (2.9, 2.9)
    """
    generator, found = Noise(seed).generator, []
    for _ in range(halves):
        orders = [torch.randperm(len(rows), generator=generator) for rows in sets]
        parts = [rows[order[: len(rows) // 2]] for rows, order in zip(sets, orders, strict=True)]
        found.append(figure(*parts))
    return torch.tensor(found, dtype=torch.float64).std().item()


def all_absent(names: tuple[str, ...], reason: str) -> Figures:
    """The same reason for several figures."""
    return {name: Absent(reason) for name in names}
