"""What an evaluation returns: figures with an error and a definition, or the reason for none."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from vae_cli.evaluation.sharing import compute_once, share_rows
from vae_cli.noise import Noise
from vae_cli.training.world import ALONE, World


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
HALVES = 20  # of which the standard error of a figure of all items is made


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
    figure: Callable[..., float],
    sets: Sequence[Tensor],
    seed: int,
    halves: int = HALVES,
    world: World = ALONE,
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
        world: the processes that share them.

    Example:
        >>> values = torch.arange(100.0)
        >>> error = jackknife_error(lambda some: some.mean().item(), [values], 0, halves=1000)
        >>> round(error, 1), round(standard_error(values), 1)
        (2.9, 2.9)
    """
    chosen = choose_halves([len(rows) for rows in sets], seed, halves)

    def compute(own: Tensor) -> Tensor:
        found = [
            figure(*(rows[half] for rows, half in zip(sets, chosen[number], strict=True)))
            for number in own.tolist()
        ]
        return torch.tensor(found, dtype=torch.float64)

    return share_rows(compute, torch.arange(halves), world).std().item()


def choose_halves(sizes: Sequence[int], seed: int, halves: int = HALVES) -> list[list[Tensor]]:
    """The places of random halves of sets with these sizes: of each set, for each half."""
    generator = Noise(seed).generator
    return [
        [torch.randperm(size, generator=generator)[: size // 2] for size in sizes]
        for _ in range(halves)
    ]


def all_absent(names: tuple[str, ...], reason: str) -> Figures:
    """The same reason for several figures."""
    return {name: Absent(reason) for name in names}


def figures_of_first(compute: Callable[[], Figures], world: World) -> Figures:
    """Figures that process 0 computes, while the others wait for them."""
    found = compute_once(lambda: {name: asdict(one) for name, one in compute().items()}, world)
    return {name: Figure(**one) if "value" in one else Absent(**one) for name, one in found.items()}
