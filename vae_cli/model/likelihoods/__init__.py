"""Likelihoods p(x|z): the distribution of an item around the output of the decoder."""

from vae_cli.model.likelihoods.bernoulli import Bernoulli, BernoulliPixels
from vae_cli.model.likelihoods.columns import ColumnGaussian, ColumnNormal
from vae_cli.model.likelihoods.gaussian import SharedGaussian, SharedNormal
from vae_cli.model.likelihoods.laplace import Laplace, LaplacePixels
from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood
from vae_cli.model.likelihoods.logistic import DiscretizedLogistic, LogisticMixture
from vae_cli.model.likelihoods.mse import HalfVarianceNormal, SquaredError

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
