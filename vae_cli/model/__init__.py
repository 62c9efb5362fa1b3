"""Networks, distributions and objectives, and the VAE that joins them."""

from vae_cli.model.conv import PRESETS, ConvDecoder, ConvEncoder, plan
from vae_cli.model.likelihoods import ColumnNormal, HalfVarianceNormal, Likelihood
from vae_cli.model.mlp import MLPDecoder, MLPEncoder
from vae_cli.model.normal import DiagonalNormal
from vae_cli.model.objectives import Loss, NegativeELBO, Objective
from vae_cli.model.priors import Prior, StandardNormal
from vae_cli.model.size import Size, measure_size
from vae_cli.model.vae import VAE, Inference, Model
from vae_cli.model.vectors import ColumnScaling, VectorDecoder

__all__ = [
    "PRESETS",
    "VAE",
    "ColumnNormal",
    "ColumnScaling",
    "ConvDecoder",
    "ConvEncoder",
    "DiagonalNormal",
    "HalfVarianceNormal",
    "Inference",
    "Likelihood",
    "Loss",
    "MLPDecoder",
    "MLPEncoder",
    "Model",
    "NegativeELBO",
    "Objective",
    "Prior",
    "Size",
    "StandardNormal",
    "VectorDecoder",
    "measure_size",
    "plan",
]
