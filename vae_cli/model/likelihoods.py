"""Likelihoods p(x|z): the distribution of an item around the output of the decoder.

Every pixel of an image has a variance of ½,

    −log p(x|z) = ‖x − mean‖² + ½ D log π,

so the sum of an image's squared errors is a negative log-likelihood in nats, up to a constant.
`distortion` leaves the constant out, so that it has the scale of the usual "MSE" of VAE tutorials.

The columns of a table are standardized, and each has a variance σ² that is learned with the weights
(the σ-VAE of Rybkin, Daniilidis & Levine, 2021, with one σ per column):

    −log p(x|z) = ½ Σ (x − mean)² / σ² + log σ²  +  ½ D log 2π.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


class Likelihood(ABC):
    """A distribution over images `(B, C, H, W)` with pixels in [0, 1], or over rows `(B, D)`."""

    mean: Tensor

    @abstractmethod
    def distortion(self, x: Tensor) -> Tensor:
        """−log p(x|z) in nats, without the constant that no parameter changes: `(B,)`."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over an item's pixels or columns: `(B,)`."""

    @abstractmethod
    def sample(self, generator: Generator | None = None) -> Tensor:
        """One sample, in the shape of the mean."""


@final
@dataclass(frozen=True)
class HalfVarianceNormal(Likelihood):
    """Independent pixels, each N(mean, ½).

    Attributes:
        mean: `(B, C, H, W)`, pixels in [0, 1].
    """

    mean: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The sum of each image's squared errors, `(B,)`: what VAE tutorials call MSE."""
        return F.mse_loss(self.mean, x, reduction="none").flatten(1).sum(1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over an image's pixels: `(B,)`."""
        return -self.distortion(x) - 0.5 * math.log(math.pi) * x[0].numel()

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One sample, `(B, C, H, W)`; its pixels may be outside [0, 1]."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + math.sqrt(0.5) * noise


@final
@dataclass(frozen=True)
class ColumnNormal(Likelihood):
    """Independent standardized columns, each N(mean, σ²).

    A column that never changes has no density, so it is left out of the sums, and samples of it are
    its mean.

    Attributes:
        mean: `(B, D)`, in units of the columns' standard deviations.
        log_variance: log σ², `(D,)`.
        changes: 0 for a column that never changes and 1 for the others, `(D,)`.
    """

    mean: Tensor
    log_variance: Tensor
    changes: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The negative log-likelihood of standardized columns, without ½ D log 2π: `(B,)`."""
        squares = (x - self.mean) ** 2
        terms = squares * (-self.log_variance).exp() + self.log_variance
        return 0.5 * (terms * self.changes).sum(1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) of standardized columns, in nats: `(B,)`."""
        return -self.distortion(x) - 0.5 * math.log(2 * math.pi) * self.changes.sum()

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One sample, `(B, D)`."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + self.changes * (0.5 * self.log_variance).exp() * noise
