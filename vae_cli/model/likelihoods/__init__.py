"""Likelihoods p(x|z): the distribution of an item around the output of the decoder."""

from vae_cli.model.likelihoods.columns import TableLikelihood, TableRow
from vae_cli.model.likelihoods.continuous import (
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
    "TableLikelihood",
    "TableRow",
]
