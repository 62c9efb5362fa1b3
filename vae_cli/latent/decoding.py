"""Items decoded from latents: reconstructions, samples, and the neighbourhood of one item.

reconstruction   z from q(z|x) of an item x        then the mean of p(x|z), or a sample from it
sample           z from p(z), or from a sampler that was fitted to latents
traversal        z = μ(x) + offset · e_j           along each dimension j from one item

Of a model of p(x|y), each is given the conditions y of its items as the networks take them,
`(count, W)`, or `(1, W)` if all have the same one; without them, they are not known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar, final

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.batches import chunk_length
from vae_cli.errors import UsageError
from vae_cli.model import LatentModel, LatentSampler, Level, Posterior
from vae_cli.model.reductions import sum_levels
from vae_cli.noise import Noise

ArrayT = TypeVar("ArrayT")
KL_SAMPLES = 64  # for a prior whose KL has no closed form


class Reconstruction(NamedTuple, Generic[ArrayT]):
    """Items after encoding and decoding, and how far they are from the originals.

    Attributes:
        items: images `(B, C, H, W)` with pixels in [0, 1], or rows `(B, D)`.
        distortion: −log p(x|z) of each item in nats without its constant, `(B,)`; of an image this
            is the sum of squared errors.
        kl: KL to the prior of each item in nats, summed over all latents, `(B,)`.
    """

    items: ArrayT
    distortion: ArrayT
    kl: ArrayT


@torch.no_grad()
def reconstruct(
    model: LatentModel,
    batch: Batch,
    noise: Noise | None = None,
    *,
    spread: Noise | None = None,
) -> Reconstruction[Tensor]:
    """Encode and decode B items.

    Args:
        model: a trained model.
        batch: the items.
        noise: the source of the samples of the posterior; without it, its mode is decoded.
        spread: the source of samples of p(x|z); without it, the items are the means of p(x|z).
    """
    inference = model.infer(batch, 1, noise)
    top, *below = inference.levels
    fixed = Noise(0, batch.x.device)  # an estimate must not differ from call to call
    kls = [Level.draw(top.posterior, top.prior, KL_SAMPLES, fixed).kl()]
    kls += [level.kl() for level in below]
    likelihood = inference.likelihood
    items = likelihood.mean if spread is None else likelihood.sample(spread)
    return Reconstruction(items[0], likelihood.distortion(batch.x)[0], sum_levels(kls))


@torch.no_grad()
def sample_latents(
    model: LatentModel,
    count: int,
    noise: Noise,
    *,
    temperature: float = 1.0,
    source: LatentSampler | None = None,
    y: Tensor | None = None,
) -> Tensor:
    """Latents `(count, *event)` from the prior or another source; see `LatentSampler.sample`."""
    sampler: LatentSampler = source or model.prior
    return sampler.sample(count, noise, temperature, model.condition_of(y, count))


def sample(
    model: LatentModel,
    count: int,
    noise: Noise,
    *,
    temperature: float = 1.0,
    with_spread: bool = False,
    source: LatentSampler | None = None,
    y: Tensor | None = None,
) -> Tensor:
    """Decode `count` latents as `sample_parts` does: `(count, ...)`."""
    parts = sample_parts(
        model, count, noise, temperature=temperature, with_spread=with_spread, source=source, y=y
    )
    return torch.cat(list(parts))


@torch.no_grad()
def sample_parts(
    model: LatentModel,
    count: int,
    noise: Noise,
    *,
    temperature: float = 1.0,
    with_spread: bool = False,
    source: LatentSampler | None = None,
    y: Tensor | None = None,
) -> Iterator[Tensor]:
    """Decode `count` latents from the prior, or from `source`: parts `(B, ...)` of a limited size.

    The latents of lower levels, if there are any, are sampled too. What a network makes of many
    rows need not be in memory together: with one value for each category, it is large.

    Args:
        model: a trained model.
        count: the number of items.
        noise: the source of the random numbers, on the device of the model.
        temperature: factor for the standard deviations of all latents.
        with_spread: whether each item is a sample from p(x|z), as rows of a table should be, and
            not its mean.
        source: of the latents; None is the prior.
        y: the conditions of the items.
    """
    latents = sample_latents(model, count, noise, temperature=temperature, source=source, y=y)
    for z, own in split_latents(model, latents, y):
        yield decode_samples(
            model, z, noise, temperature=temperature, with_spread=with_spread, y=own
        )


def split_latents(
    model: LatentModel, latents: Tensor, y: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Latents `(N, *event)` and their conditions, in parts whose outputs are of a limited size."""
    y = model.condition_of(y, len(latents))
    size = chunk_length(model.decode(latents[:1]).mean.shape[1:])
    for start in range(0, len(latents), size):
        part = slice(start, start + size)
        yield latents[part], None if y is None else y[part]


@torch.no_grad()
def decode_samples(
    model: LatentModel,
    latents: Tensor,
    noise: Noise,
    *,
    temperature: float = 1.0,
    with_spread: bool = False,
    y: Tensor | None = None,
) -> Tensor:
    """The items `(B, ...)` of latents `(B, *event)`; the arguments are those of `sample_parts`."""
    likelihood = model.generate(latents, noise, temperature, y)
    return likelihood.sample(noise) if with_spread else likelihood.mean


@final
@dataclass(frozen=True)
class LevelOfItem:
    """One level of latents of one item, and the latents of the other levels, which stay.

    Attributes:
        posterior: of the level, parameters `(1, D)`.
        kl_by_dim: what each dimension tells about the item, in nats, `(D,)`; None if that is not
            known.
        above: the latents of the levels above, `(1, D)` each.
        below: the latents of the levels below; levels that are not given follow from those above,
            at the means of their priors.
        y: the condition of the item, `(1, W)`; None if there is none.
    """

    posterior: Posterior
    kl_by_dim: Tensor | None = None
    above: Sequence[Tensor] = ()
    below: Sequence[Tensor] = ()
    y: Tensor | None = None


@torch.no_grad()
def infer_level(model: LatentModel, item: Batch, number: int) -> LevelOfItem:
    """What a traversal of a level needs of one item.

    Below the top, the other levels stay at the means of their posteriors, so that the item does not
    change where nothing is shifted. At the top, all levels below follow from it, at the means of
    their priors.

    Args:
        model: a trained model.
        item: one item, with its condition.
        number: of the level; 0 is the top.

    Raises:
        UsageError: the model has no such level, or its latents are not vectors.
    """
    levels = model.infer(item).levels
    if number not in range(len(levels)):
        allowed = f"levels 0 to {len(levels) - 1}" if len(levels) > 1 else "only level 0"
        raise UsageError(f"level {number}: this model has {allowed}")
    by_dim, posterior = levels[number].kl_by_dim(), levels[number].posterior
    if len(posterior.event_shape) > 1:
        raise UsageError("this needs latents that are vectors")
    of_item = None if by_dim is None else by_dim[0]
    if number == 0:
        return LevelOfItem(posterior, of_item, y=item.y)
    above, below = ([one.z[0] for one in part] for part in (levels[:number], levels[number + 1 :]))
    return LevelOfItem(posterior[0], of_item, above, below, item.y)


@torch.no_grad()
def traverse(
    model: LatentModel,
    level: LevelOfItem,
    offsets: Tensor,
    dims: Sequence[int] | None = None,
    noise: Noise | None = None,
) -> Tensor:
    """Decode latents that are shifted from the posterior of one item.

    Every row starts from the same posterior, so a shift in one row does not change the next.

    Args:
        model: a trained model.
        level: whose latents are shifted.
        offsets: `(K,)`, added to the latent, one per column.
        dims: one row for each of these dimensions, which is shifted alone; None is one row in which
            all dimensions are shifted together.
        noise: if given, every tile is decoded from a new sample of the posterior, shifted;
            otherwise from its mode.

    Returns:
        `(rows, K, C, H, W)`, pixels in [0, 1], or `(rows, K, D)`.
    """
    mode = level.posterior.mode()
    unit = torch.eye(mode.shape[-1], device=offsets.device)
    directions = torch.ones_like(unit[:1]) if dims is None else unit[list(dims)]
    shifts = offsets[None, :, None] * directions[:, None, :]
    count = shifts.shape[:2].numel()
    start = mode if noise is None else level.posterior.rsample(count, noise).view(shifts.shape)
    z = (start + shifts).flatten(0, 1)
    above, below = (
        [latent.expand(len(z), -1) for latent in part] for part in (level.above, level.below)
    )
    tiles = model.decode_levels([*above, z, *below], model.condition_of(level.y, len(z))).mean
    return tiles.view(*shifts.shape[:2], *tiles.shape[1:])
