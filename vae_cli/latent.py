"""What is done with a trained model: encode, reconstruct, sample, traverse, interpolate, project.

Pure functions on tensors. An image is encoded as its posterior mean; a draw from the posterior is
taken only where a `generator` is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vae_cli.model import VAE, DiagonalNormal

PARALLEL = 1 - 1e-6  # the cosine above which two latents are on one line through the origin


@dataclass(frozen=True)
class Reconstruction:
    """Items after a pass through the latent space, and what was lost.

    Attributes:
        items: images `(B, C, H, W)` with pixels in [0, 1], or vectors `(B, D)`.
        distortion: each item's −log p(x|z) less a constant, `(B,)`; of images the squared error.
        kl: each item's KL to the prior, summed over dimensions, in nats, `(B,)`.
    """

    items: Tensor
    distortion: Tensor
    kl: Tensor


class Projection(NamedTuple):
    """Points in the plane in which they vary most.

    Attributes:
        coordinates: `(N, 2)`.
        axes: `(2, D)`, of length 1 and at right angles; where D is 1 the second is 0.
        mean: `(D,)`, the point that is the plane's origin.
        share: `(2,)`, of the whole variance, along each axis.
    """

    coordinates: Tensor
    axes: Tensor
    mean: Tensor
    share: Tensor


def encode(posterior: DiagonalNormal, generator: Generator | None = None) -> Tensor:
    """The latents `(B, D)` of a posterior: its mean, or one draw where a generator is given."""
    return posterior.mean if generator is None else posterior.rsample(generator)


@torch.no_grad()
def reconstruct(model: VAE, x: Tensor, generator: Generator | None = None) -> Reconstruction:
    """Encode and decode images `(B, C, H, W)` with pixels in [0, 1], or vectors `(B, D)`."""
    posterior = model.posterior(x)
    likelihood = model.likelihood(encode(posterior, generator))
    kl = model.prior().kl_from(posterior).sum(-1)
    return Reconstruction(likelihood.mean, likelihood.distortion(x), kl)


@torch.no_grad()
def draw(
    model: VAE, count: int, *, temperature: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Latents `(count, D)` from the prior, each scaled by `temperature`."""
    return temperature * model.prior().sample(count, generator)


@torch.no_grad()
def sample(
    model: VAE,
    count: int,
    *,
    temperature: float = 1.0,
    noise: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Decode `count` draws from the prior, each scaled by `temperature`: `(count, ...)`.

    With `noise` each is a draw from p(x|z), as rows of a table should be, and not its mean.
    """
    likelihood = model.likelihood(draw(model, count, temperature=temperature, generator=generator))
    return likelihood.sample(generator) if noise else likelihood.mean


@torch.no_grad()
def traverse(
    model: VAE,
    posterior: DiagonalNormal,
    offsets: Tensor,
    dims: Sequence[int] | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Decode what lies around one image's posterior.

    Every row starts from the same posterior, so that no shift is carried into the next row.

    Args:
        model: the decoder's owner.
        posterior: of one image, parameters `(1, D)`.
        offsets: `(K,)`, added to the latent, one column each.
        dims: one row a dimension that is shifted alone; None is one row that shifts them all.
        generator: draws a new latent for every tile in place of the posterior mean.

    Returns:
        `(rows, K, C, H, W)`, pixels in [0, 1], or `(rows, K, D)`.
    """
    unit = torch.eye(posterior.mean.shape[-1], device=offsets.device)
    directions = torch.ones_like(unit[:1]) if dims is None else unit[list(dims)]
    shifts = offsets[None, :, None] * directions[:, None, :]
    around = DiagonalNormal(posterior.mean + shifts, posterior.log_variance.expand_as(shifts))
    tiles = model.likelihood(encode(around, generator).flatten(0, 1)).mean
    return tiles.view(*shifts.shape[:2], *tiles.shape[1:])


def path(anchors: Tensor, steps: int, *, spherical: bool = False) -> Tensor:
    """The way from each latent to the next, both ends among its points.

    The straight line, or the great circle (Shoemake, 1985, eq. for Slerp), which stays at the
    distance from the origin at which draws from the prior lie (White, 2016, sec. 2.1). Where two
    latents point the same way, or opposite ways, there is no one circle and the line is taken.

    Args:
        anchors: `(A, D)`.
        steps: points a way, at least 2.
        spherical: whether to take the circle.

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
    return torch.where(cosine.abs() < PARALLEL, circle, line)


def loop(anchors: Tensor, steps: int) -> Tensor:
    """A way along great circles through all latents `(A, D)` and back to the first.

    Returns:
        `(A * steps, D)`; every `steps`-th point is one of the latents.
    """
    closed = torch.cat([anchors, anchors[:1]])
    return path(closed, steps + 1, spherical=True)[:, :-1].flatten(0, 1)


def pca(points: Tensor) -> Projection:
    """The first two principal components of points `(N, D)` (Pearson, 1901).

    An axis points to where its largest entry is positive, so that the same points always give the
    same picture. `coordinates @ axes + mean` is the point of the plane nearest to each.
    """
    exact = points.double()
    mean = exact.mean(0)
    centred = exact - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(points))
    shown = min(2, len(mean))
    axes, along = exact.new_zeros(2, len(mean)), exact.new_zeros(2)
    axes[:shown] = directions.T.flip(0)[:shown]
    along[:shown] = variances.flip(0)[:shown].clamp(min=0)
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = torch.where(largest < 0, -axes, axes)
    share = along / variances.clamp(min=0).sum().clamp(min=torch.finfo(exact.dtype).tiny)
    parts = (centred @ axes.T, axes, mean, share)
    return Projection(*(part.to(points.dtype) for part in parts))
