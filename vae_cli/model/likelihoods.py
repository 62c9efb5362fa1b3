"""p(x|z): how an item is drawn around what the decoder makes of a latent.

Images have a variance of ½ for every pixel,

    −log p(x|z) = ‖x − mean‖² + ½ D log π,

so the article's "MSE", the sum of an image's squared errors, is a negative log-likelihood in nats
up to a constant. `distortion` leaves that constant out and keeps losses on the article's scale.

Vectors have a variance σ² for each column that is learned with the weights, in units of the
column's own standard deviation s (the σ-VAE of Rybkin, Daniilidis & Levine, 2021, a σ a column):

    −log p(x|z) = ½ Σ ((x − mean) / s)² / σ² + log σ²  +  Σ log s + ½ D log 2π.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


class Likelihood(ABC):
    """A distribution over images `(B, C, H, W)` with pixels in [0, 1], or vectors `(B, D)`."""

    mean: Tensor

    @abstractmethod
    def distortion(self, x: Tensor) -> Tensor:
        """−log p(x|z) in nats, less what no parameter can change: `(B,)`."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over an item's pixels or columns: `(B,)`."""

    @abstractmethod
    def sample(self, generator: Generator | None = None) -> Tensor:
        """One draw in the shape of the mean; a picture of it is the mean with grain."""


@final
@dataclass(frozen=True)
class HalfVarianceNormal(Likelihood):
    """Independent pixels, each N(mean, ½).

    Attributes:
        mean: `(B, C, H, W)`, pixels in [0, 1].
    """

    mean: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The sum of each image's squared errors, `(B,)`; the article calls it MSE."""
        return F.mse_loss(self.mean, x, reduction="none").flatten(1).sum(1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over an image's pixels: `(B,)`."""
        return -self.distortion(x) - 0.5 * math.log(math.pi) * x[0].numel()

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One draw, `(B, C, H, W)`; its pixels may leave [0, 1]."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + math.sqrt(0.5) * noise


@final
@dataclass(frozen=True)
class ColumnNormal(Likelihood):
    """Independent columns, each N(mean, (unit · σ)²).

    Attributes:
        mean: `(B, D)`, in the units of the data.
        log_variance: log σ², `(D,)`.
        unit: each column's standard deviation over the training set, `(D,)`.
    """

    mean: Tensor
    log_variance: Tensor
    unit: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The negative log-likelihood of standardised columns, less ½ D log 2π: `(B,)`."""
        squares = ((x - self.mean) / self.unit) ** 2
        return 0.5 * (squares * (-self.log_variance).exp() + self.log_variance).sum(1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, in the units of the data: `(B,)`."""
        return -self.distortion(x) - (self.unit.log() + 0.5 * math.log(2 * math.pi)).sum()

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One draw, `(B, D)`."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + self.unit * (0.5 * self.log_variance).exp() * noise
