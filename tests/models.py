"""Small untrained models."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_cli.model import (
    VAE,
    DiagonalNormal,
    Distribution,
    Inference,
    LatentModel,
    MLPDecoder,
    MLPEncoder,
    SquaredError,
    StandardNormal,
)
from vae_cli.model.vae import Pick


def mlp_vae(
    shape: tuple[int, ...] = (1, 6, 5),
    hidden: tuple[int, ...] = (8,),
    latent_dim: int = 3,
    *,
    seed: int = 0,
) -> VAE:
    """A small untrained model of images."""
    torch.manual_seed(seed)
    encoder = MLPEncoder(shape, hidden, latent_dim)
    decoder = MLPDecoder(shape, hidden, latent_dim)
    return VAE(encoder, decoder, SquaredError(), StandardNormal(latent_dim))


class WrappedVAE(LatentModel):
    """A VAE inside of another model, which may treat items in its own way."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.columns, self.vae = None, vae
        self.likelihood, self.prior = vae.likelihood, vae.prior

    def posterior(self, x: Tensor) -> DiagonalNormal:
        return self.vae.posterior(x)

    def decode_levels(self, latents: Sequence[Tensor]) -> Distribution:
        return self.vae.decode_levels(latents)

    def infer_with(self, x: Tensor, samples: int, pick: Pick) -> Inference:
        return self.vae.infer_with(x, samples, pick)


class NoiselessVAE(WrappedVAE):
    """A VAE that decodes the posterior mean, so that losses do not depend on random numbers."""

    def infer_with(self, x: Tensor, samples: int, pick: Pick) -> Inference:
        return self.vae.infer_mean(x)
