"""Generate items from the prior."""

import torch
from torch import Generator, Tensor

from vae_cli.data.batches import CHUNK_ITEMS
from vae_cli.model import VAE


@torch.no_grad()
def sample_latents(
    model: VAE, count: int, *, temperature: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Latents `(count, D)` from the prior, multiplied by `temperature`."""
    return temperature * model.prior().sample(count, generator)


@torch.no_grad()
def sample(
    model: VAE,
    count: int,
    *,
    temperature: float = 1.0,
    noise: bool = False,
    generator: Generator | None = None,
    batch_size: int = CHUNK_ITEMS,
) -> Tensor:
    """Decode `count` latents from the prior, multiplied by `temperature`: `(count, ...)`.

    With `noise`, each item is a sample from p(x|z), as rows of a table should be. Without it, each
    is the mean of p(x|z). `batch_size` items are decoded together, which limits the memory.
    """
    latents = sample_latents(model, count, temperature=temperature, generator=generator)
    likelihoods = map(model.likelihood, latents.split(batch_size))
    return torch.cat([one.sample(generator) if noise else one.mean for one in likelihoods])
