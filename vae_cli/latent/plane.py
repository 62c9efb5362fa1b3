"""Points on the plane of two latents that cover the prior evenly."""

from collections.abc import Sequence

import torch
from torch import Tensor


def gaussian_quantiles(count: int) -> Tensor:
    """The middles of `count` intervals of N(0, 1) with equal probability, `(count,)`, rising."""
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    quantiles: Tensor = torch.special.ndtri(middles)
    return quantiles.float()


def quantile_plane(count: int, dims: Sequence[int], latent_dim: int) -> Tensor:
    """Latents on the plane of two dimensions (Kingma and Welling, 2014, figure 4).

    The first dimension rises from left to right and the second from bottom to top, both through
    the quantiles of N(0, 1). All other dimensions are 0, the mean of the prior.

    Args:
        count: points per row and per column.
        dims: the two dimensions.
        latent_dim: D, of the model.

    Returns:
        `(count, count, D)`, the top row first.

    Example:
        >>> quantile_plane(3, (0, 2), 4)[0]
        tensor([[-0.9674,  0.0000,  0.9674,  0.0000],
                [ 0.0000,  0.0000,  0.9674,  0.0000],
                [ 0.9674,  0.0000,  0.9674,  0.0000]])
    """
    values = gaussian_quantiles(count)
    plane = torch.zeros(count, count, latent_dim)
    plane[..., dims[0]] = values
    plane[..., dims[1]] = values.flip(0)[:, None]
    return plane
