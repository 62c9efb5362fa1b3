"""A log-sum-exp that takes as long for any values."""

from torch import Tensor

NEGLIGIBLE = 80.0  # nats below the largest term, where a term changes no sum, not even in float64


def log_sum_exp(values: Tensor, dim: int) -> Tensor:
    """Log Σ exp(values) along one dimension.

    On a processor, exp takes a hundred times longer for values whose result is too small to be
    stored. Sums over mixtures are full of such values, so they are raised to where they are only
    negligible.
    """
    least = values.detach().amax(dim, keepdim=True) - NEGLIGIBLE
    return values.clamp(min=least).logsumexp(dim)
