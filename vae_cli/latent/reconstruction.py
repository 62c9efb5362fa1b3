"""Reconstruct items."""

from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.model import LatentModel, kl
from vae_cli.model.inference import sum_levels
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
    kls = [kl(top.posterior, top.prior, top.posterior.rsample(KL_SAMPLES, fixed))]
    kls += [level.kl() for level in below]
    likelihood = inference.likelihood
    items = likelihood.mean if spread is None else likelihood.sample(spread)
    return Reconstruction(items[0], likelihood.distortion(batch.x)[0], sum_levels(kls))
