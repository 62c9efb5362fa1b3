"""What is learned: networks, distributions and the VAE that joins them."""

from vae_cli.model.likelihoods import HalfVarianceNormal, Likelihood
from vae_cli.model.networks import MLPDecoder, MLPEncoder
from vae_cli.model.normal import DiagonalNormal
from vae_cli.model.priors import Prior, StandardNormal
from vae_cli.model.vae import VAE, Inference, Model

__all__ = [
    "VAE",
    "DiagonalNormal",
    "HalfVarianceNormal",
    "Inference",
    "Likelihood",
    "MLPDecoder",
    "MLPEncoder",
    "Model",
    "Prior",
    "StandardNormal",
]
