"""Priors p(z): the distribution of the latents before an item is seen."""

from vae_cli.model.priors.mixture import MixtureOfNormals, VampPrior
from vae_cli.model.priors.prior import ConditionalNormal, Prior, StandardNormal
from vae_cli.model.priors.realnvp import RealNVP

__all__ = [
    "ConditionalNormal",
    "MixtureOfNormals",
    "Prior",
    "RealNVP",
    "StandardNormal",
    "VampPrior",
]
