"""Generate items from the prior, or from another distribution of latents."""

import torch
from torch import Tensor

from vae_cli.data.batches import chunk_length
from vae_cli.model import LatentModel, LatentPrior
from vae_cli.noise import Noise


@torch.no_grad()
def sample_latents(
    model: LatentModel,
    count: int,
    noise: Noise,
    *,
    temperature: float = 1.0,
    source: LatentPrior | None = None,
) -> Tensor:
    """Latents `(count, *event)` from the prior or another source; see `LatentPrior.sample`."""
    prior: LatentPrior = source or model.prior()
    return prior.sample(count, noise, temperature)


@torch.no_grad()
def sample(
    model: LatentModel,
    count: int,
    noise: Noise,
    *,
    temperature: float = 1.0,
    with_spread: bool = False,
    source: LatentPrior | None = None,
) -> Tensor:
    """Decode `count` latents from the prior, or from `source`: `(count, ...)`.

    The latents of lower levels, if there are any, are sampled too. A limited number of values is
    decoded at a time.

    Args:
        model: a trained model.
        count: the number of items.
        noise: the source of the random numbers, on the device of the model.
        temperature: factor for the standard deviations of all latents.
        with_spread: whether each item is a sample from p(x|z), as rows of a table should be, and
            not its mean.
        source: of the latents; None is the prior.
    """
    latents = sample_latents(model, count, noise, temperature=temperature, source=source)
    shape = model.decode(latents[:1]).mean.shape[1:]
    parts = latents.split(chunk_length(shape))
    likelihoods = (model.generate(part, noise, temperature) for part in parts)
    return torch.cat([one.sample(noise) if with_spread else one.mean for one in likelihoods])
