"""Sums and averages over samples, levels, and the values of an item.

There is one convention everywhere: sums over the values of an item and over its latent dimensions,
averages over samples, and averages over items last of all.
"""

from collections.abc import Callable

from torch import Tensor

Whole = Callable[[Tensor], Tensor]  # makes of the values of a part those of the whole batch

NEGLIGIBLE = 80.0  # nats below the largest term, where a term changes no sum, not even in float64


def undivided(values: Tensor) -> Tensor:
    """The values of all items of a batch, if these are all of them already."""
    return values


def sum_last(values: Tensor, axes: int) -> Tensor:
    """The sum over the last axes, those of an item or of its latents: `(..., *shape)` to `(...)`.

    Example:
        >>> import torch
        >>> sum_last(torch.ones(5, 2, 1, 3, 3), axes=3)
        tensor([[9., 9.],
                [9., 9.],
                [9., 9.],
                [9., 9.],
                [9., 9.]])
    """
    return values.flatten(values.ndim - axes).sum(-1)


def average_samples(values: Tensor) -> Tensor:
    """The average over the first axis, `(K, ...)` to `(...)`; of one sample it costs nothing."""
    return values[0] if len(values) == 1 else values.mean(0)


def sum_levels(values: list[Tensor]) -> Tensor:
    """The sum of one value per level; of a single level it is that value, without an addition."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def log_sum_exp(values: Tensor, dim: int) -> Tensor:
    """Log Σ exp(values) along one dimension, in the same time for any values.

    On a processor, exp takes a hundred times longer for values whose result is too small to be
    stored. Sums over mixtures are full of such values, so they are raised to where they are only
    negligible.
    """
    least = values.detach().amax(dim, keepdim=True) - NEGLIGIBLE
    return values.clamp(min=least).logsumexp(dim)
