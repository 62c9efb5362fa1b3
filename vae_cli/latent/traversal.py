"""Decode the neighbourhood of one item's latent."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from vae_cli.errors import UsageError
from vae_cli.latent.reconstruction import latent_of
from vae_cli.model import DiagonalNormal, LatentModel


class Others(NamedTuple):
    """The latents of one item at the levels that a traversal does not shift, `(1, D)` each."""

    above: Sequence[Tensor] = ()
    below: Sequence[Tensor] = ()


NO_OTHERS = Others()


class LevelOfItem(NamedTuple):
    """One level of latents of one item.

    Attributes:
        kl_by_dim: what each dimension tells about the item, in nats, `(D,)`.
        posterior: parameters `(1, D)`.
        others: the latents of the levels that stay when this level is shifted.
    """

    kl_by_dim: Tensor
    posterior: DiagonalNormal
    others: Others


@torch.no_grad()
def infer_level(model: LatentModel, x: Tensor, number: int) -> LevelOfItem:
    """What a traversal of a level needs of one item `(1, ...)`.

    Below the top, the other levels stay at the means of their posteriors, so that the item does not
    change where nothing is shifted. The top level has no others: all levels below follow from it,
    at the means of their priors.

    Args:
        model: a trained model.
        x: the item.
        number: of the level; 0 is the top.

    Raises:
        UsageError: the model has no such level.
    """
    levels = model.infer_mean(x).levels
    if number not in range(len(levels)):
        allowed = f"levels 0 to {len(levels) - 1}" if len(levels) > 1 else "only level 0"
        raise UsageError(f"level {number}: this model has {allowed}")
    level, top = levels[number], levels[0].posterior
    kl_by_dim = level.kl_by_dim()[0]
    if number == 0:
        return LevelOfItem(kl_by_dim, top, NO_OTHERS)
    posterior = DiagonalNormal(level.posterior.mean[0], level.posterior.log_variance[0])
    above, below = ([one.z[0] for one in part] for part in (levels[:number], levels[number + 1 :]))
    return LevelOfItem(kl_by_dim, posterior, Others(above, below))


@torch.no_grad()
def traverse(
    model: LatentModel,
    posterior: DiagonalNormal,
    offsets: Tensor,
    dims: Sequence[int] | None = None,
    generator: Generator | None = None,
    others: Others = NO_OTHERS,
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
        others: the latents of the other levels; levels that are not given follow from the shifted
            one, at the means of their priors.

    Returns:
        `(rows, K, C, H, W)`, pixels in [0, 1], or `(rows, K, D)`.
    """
    unit = torch.eye(posterior.mean.shape[-1], device=offsets.device)
    directions = torch.ones_like(unit[:1]) if dims is None else unit[list(dims)]
    shifts = offsets[None, :, None] * directions[:, None, :]
    shifted = DiagonalNormal(posterior.mean + shifts, posterior.log_variance.expand_as(shifts))
    z = latent_of(shifted, generator).flatten(0, 1)
    above, below = ([latent.expand(len(z), -1) for latent in part] for part in others)
    tiles = model.decode_levels([*above, z, *below]).mean
    return tiles.view(*shifts.shape[:2], *tiles.shape[1:])
