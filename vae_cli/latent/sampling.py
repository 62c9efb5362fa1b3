"""Generate items from the prior, or from another distribution of latents."""

import torch
from torch import Generator, Tensor

from vae_cli.data.batches import chunk_length
from vae_cli.model import LatentModel, Prior


@torch.no_grad()
def sample_latents(
    model: LatentModel,
    count: int,
    *,
    temperature: float = 1.0,
    generator: Generator | None = None,
    source: Prior | None = None,
) -> Tensor:
    """Latents `(count, D)` from the prior or another source; see `Prior.sample`."""
    return (source or model.prior).sample(count, generator, temperature)


@torch.no_grad()
def sample(
    model: LatentModel,
    count: int,
    *,
    temperature: float = 1.0,
    noise: bool = False,
    generator: Generator | None = None,
    source: Prior | None = None,
) -> Tensor:
    """Decode `count` latents from the prior, or from `source`: `(count, ...)`.

    With `noise`, each item is a sample from p(x|z), as rows of a table should be. Without it, each
    is the mean of p(x|z). The latents of lower levels, if there are any, are sampled too, and
    `temperature` is a factor for all standard deviations. A limited number of values is decoded at
    a time.
    """
    latents = sample_latents(
        model, count, temperature=temperature, generator=generator, source=source
    )
    shape = model.decode(latents[:1]).mean.shape[1:]
    parts = latents.split(chunk_length(shape))
    likelihoods = (model.generate(part, temperature, generator) for part in parts)
    return torch.cat([one.sample(generator) if noise else one.mean for one in likelihoods])
