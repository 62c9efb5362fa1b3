"""Paths between latents: straight lines and great circles."""

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
