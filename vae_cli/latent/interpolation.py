"""Paths between latents: straight lines and great circles.

Exchange some latents between two items.

Points on the plane of two latents that cover the prior evenly.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

PARALLEL_COSINE = 1 - 1e-6  # two latents with a larger cosine are on one line through the origin


def interpolate(anchors: Tensor, steps: int, *, spherical: bool = False) -> Tensor:
    """Points on the path from each latent to the next, including both ends.

    The path is a straight line or a great circle (Shoemake, 1985, eq. for Slerp). The circle stays
    at the distance from the origin that samples from the prior have (White, 2016, sec. 2.1). If two
    latents point in the same or in opposite directions, there is no unique circle, and the path is
    the line.

    Args:
        anchors: `(A, D)`.
        steps: points per path, at least 2.
        spherical: whether the path is a circle.

    Returns:
        `(A - 1, steps, D)`.
    """
    start, end = anchors[:-1, None], anchors[1:, None]
    t = torch.linspace(0, 1, steps, device=anchors.device)[None, :, None]
    line = torch.lerp(start, end, t)
    if not spherical:
        return line
    cosine = F.cosine_similarity(start, end, dim=-1).clamp(-1, 1)[..., None]
    angle = cosine.acos()
    circle = (((1 - t) * angle).sin() * start + (t * angle).sin() * end) / angle.sin()
    return torch.where(cosine.abs() < PARALLEL_COSINE, circle, line)


def close_loop(anchors: Tensor, steps: int) -> Tensor:
    """Points on great circles through all latents `(A, D)` and back to the first one.

    Returns:
        `(A * steps, D)`; every point number `k * steps` is one of the latents.
    """
    closed = torch.cat([anchors, anchors[:1]])
    return interpolate(closed, steps + 1, spherical=True)[:, :-1].flatten(0, 1)


def exchange(latents: Tensor, dims: Sequence[int]) -> Tensor:
    """The latents `(2, D)` of two items with the values of some dimensions exchanged.

    Example:
        >>> import torch
        >>> exchange(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [1])
        tensor([[1., 4.],
                [3., 2.]])
    """
    exchanged = latents.clone()
    exchanged[:, dims] = latents.flip(0)[:, dims]
    return exchanged


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
