"""Decode the neighbourhood of one item's latent."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from vae_cli.latent.reconstruction import latent_of
from vae_cli.model import DiagonalNormal, LatentModel


@torch.no_grad()
def traverse(
    model: LatentModel,
    posterior: DiagonalNormal,
    offsets: Tensor,
    dims: Sequence[int] | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Decode latents that are shifted from the posterior of one item.

    Every row starts from the same posterior, so a shift in one row does not change the next.

    Args:
        model: a trained model.
        posterior: of one item, parameters `(1, D)`.
        offsets: `(K,)`, added to the latent, one per column.
        dims: one row for each of these dimensions, which is shifted alone; None is one row in which
            all dimensions are shifted together.
        generator: if given, every tile is decoded from a new sample of the shifted posterior;
            otherwise from its mean.

    Returns:
        `(rows, K, C, H, W)`, pixels in [0, 1], or `(rows, K, D)`.
    """
    unit = torch.eye(posterior.mean.shape[-1], device=offsets.device)
    directions = torch.ones_like(unit[:1]) if dims is None else unit[list(dims)]
    shifts = offsets[None, :, None] * directions[:, None, :]
    shifted = DiagonalNormal(posterior.mean + shifts, posterior.log_variance.expand_as(shifts))
    tiles = model.decode(latent_of(shifted, generator).flatten(0, 1)).mean
    return tiles.view(*shifts.shape[:2], *tiles.shape[1:])
