"""Likelihoods p(x|z): the distribution of an item around the output of the decoder."""

from vae_cli.model.likelihoods.continuous import (
    ColumnGaussian,
    ColumnNormal,
    HalfVarianceNormal,
    Laplace,
    LaplacePixels,
    SharedGaussian,
    SharedNormal,
    SquaredError,
)
from vae_cli.model.likelihoods.discrete import (
    Bernoulli,
    BernoulliPixels,
    DiscretizedLogistic,
    LogisticMixture,
)
from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood

__all__ = [
    "Bernoulli",
    "BernoulliPixels",
    "ColumnGaussian",
    "ColumnNormal",
    "DiscretizedLogistic",
    "Distribution",
    "HalfVarianceNormal",
    "Laplace",
    "LaplacePixels",
    "Likelihood",
    "LogisticMixture",
    "SharedGaussian",
    "SharedNormal",
    "SquaredError",
]
