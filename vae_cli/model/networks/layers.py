"""Layers that several networks use."""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from vae_cli.model.normal import DiagonalNormal


@final
class Gated(nn.Module):
    """A dense layer whose outputs are multiplied by gates (Dauphin et al., 2017, eq. 1).

    `(..., width_in)` to `(..., width_out)`: (W x + b) · σ(V x + c), as one matrix product.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.both = nn.Linear(width_in, 2 * width_out)

    def forward(self, x: Tensor) -> Tensor:
        """The gated outputs."""
        values, gates = self.both(x).chunk(2, -1)
        gated: Tensor = values * gates.sigmoid()
        return gated


MIN_LOG_VARIANCE, MAX_LOG_VARIANCE = -6.0, 2.0  # as in the code of Norouzi et al. (2020)


def to_normal(parameters: Tensor, *, bounded: bool = False) -> DiagonalNormal:
    """The distribution for means and log-variances side by side, `(..., 2 D)`, in float32.

    If it is bounded, the log-variance is held between two limits.
    """
    mean, log_variance = parameters.float().chunk(2, dim=-1)
    if bounded:
        log_variance = log_variance.clamp(MIN_LOG_VARIANCE, MAX_LOG_VARIANCE)
    return DiagonalNormal(mean, log_variance)


def dense_layers(
    widths: Sequence[int], activation: type[nn.Module] = nn.ReLU, *, gated: bool = False
) -> nn.Sequential:
    """Dense layers between successive widths, each gated or followed by the activation."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += (
            [Gated(width_in, width_out)]
            if gated
            else [nn.Linear(width_in, width_out), activation()]
        )
    return nn.Sequential(*layers)
