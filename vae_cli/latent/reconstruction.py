"""Encode items, and reconstruct them."""

from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Generator, Tensor

from vae_cli.model import DiagonalNormal, LatentModel
from vae_cli.model.inference import sum_levels

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
    is_sampled = sample and generator is not None
    inference = model.infer(x, 1, generator) if is_sampled else model.infer_mean(x)
    top, *below = inference.levels
    fixed = Generator(x.device).manual_seed(0)  # an estimate must not differ from call to call
    kls = [model.prior.kl(top.posterior, top.posterior.rsample(fixed, KL_SAMPLES))]
    kls += [level.kl() for level in below]
    likelihood = inference.likelihood
    items = likelihood.sample(generator) if noise else likelihood.mean
    kl = sum_levels([kl.sum(-1) for kl in kls])
    return Reconstruction(items[0], likelihood.distortion(x)[0], kl)
