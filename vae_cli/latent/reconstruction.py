"""Encode items, and reconstruct them."""

from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Generator, Tensor

from vae_cli.model import DiagonalNormal, LatentModel

ArrayT = TypeVar("ArrayT")
KL_SAMPLES = 64  # for a prior whose KL has no closed form


class Reconstruction(NamedTuple, Generic[ArrayT]):
    """Items after encoding and decoding, and how far they are from the originals.

    Attributes:
        items: images `(B, C, H, W)` with pixels in [0, 1], or rows `(B, D)`.
        distortion: −log p(x|z) of each item in nats without its constant, `(B,)`; of an image this
            is the sum of squared errors.
        kl: KL to the prior of each item in nats, summed over latent dimensions, `(B,)`.
    """

    items: ArrayT
    distortion: ArrayT
    kl: ArrayT


def latent_of(posterior: DiagonalNormal, generator: Generator | None = None) -> Tensor:
    """The mean `(B, D)` of a posterior, or one sample from it if a generator is given."""
    return posterior.mean if generator is None else posterior.rsample(generator)


@torch.no_grad()
def reconstruct(
    model: LatentModel,
    x: Tensor,
    generator: Generator | None = None,
    *,
    sample: bool = True,
    noise: bool = False,
) -> Reconstruction[Tensor]:
    """Encode and decode images `(B, C, H, W)` with pixels in [0, 1], or rows `(B, D)`.

    Args:
        model: a trained model.
        x: the items.
        generator: the source of random numbers; without it, the posterior's mean is decoded.
        sample: whether the posterior is sampled, if there is a generator.
        noise: whether the items are samples of p(x|z) instead of its mean.
    """
    posterior = model.posterior(x)
    z = latent_of(posterior, generator if sample else None)
    likelihood = model.decode(z)
    fixed = Generator(x.device).manual_seed(0)  # an estimate must not differ from call to call
    kl = model.prior.kl(posterior, posterior.rsample(fixed, KL_SAMPLES)).sum(-1)
    items = likelihood.sample(generator) if noise else likelihood.mean
    return Reconstruction(items, likelihood.distortion(x), kl)
