"""Encode items, and reconstruct them."""

from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Generator, Tensor

from vae_cli.model import VAE, DiagonalNormal

ArrayT = TypeVar("ArrayT")


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
    model: VAE, x: Tensor, generator: Generator | None = None
) -> Reconstruction[Tensor]:
    """Encode and decode images `(B, C, H, W)` with pixels in [0, 1], or rows `(B, D)`.

    Args:
        model: a trained model.
        x: the items.
        generator: if given, the posterior is sampled; otherwise its mean is decoded.
    """
    posterior = model.posterior(x)
    likelihood = model.likelihood(latent_of(posterior, generator))
    kl = model.prior().kl_from(posterior).sum(-1)
    return Reconstruction(likelihood.mean, likelihood.distortion(x), kl)
