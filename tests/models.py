"""Small untrained models."""

import torch
from torch import Generator, Tensor

from vae_cli.model import (
    VAE,
    DiagonalNormal,
    Distribution,
    Inference,
    LatentModel,
    Level,
    MLPDecoder,
    MLPEncoder,
    SquaredError,
    StandardNormal,
)


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

    def decode(self, z: Tensor) -> Distribution:
        return self.vae.decode(z)

    def infer(self, x: Tensor, samples: int = 1, generator: Generator | None = None) -> Inference:
        return self.vae.infer(x, samples, generator)

    def infer_mean(self, x: Tensor) -> Inference:
        return self.vae.infer_mean(x)


class NoiselessVAE(WrappedVAE):
    """A VAE that decodes the posterior mean, so that losses do not depend on random numbers."""

    def infer(self, x: Tensor, samples: int = 1, generator: Generator | None = None) -> Inference:
        posterior = self.posterior(x)
        z = posterior.mean[None]
        return Inference((Level(posterior, self.prior, z),), self.decode(z))
