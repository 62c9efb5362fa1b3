"""Likelihoods with a density: normal and Laplace distributions of pixels.

Each has the form of the contract, −log p(x|z) = distortion(x) + constant, with D values of an item.

    squared error    Σ (x − mean)²                           + ½ D log π       N(mean, ½)
    shared normal    Σ ½ (x − mean)² / σ² + ½ log σ²         + ½ D log 2π      one σ for all pixels
    Laplace          Σ |x − mean| / b + log b                + D log 2         one b for all pixels

The squared error is the usual "MSE" of VAE tutorials: the sum over an image, without the constant.

The shared normal is the σ-VAE (Rybkin, Daniilidis & Levine, 2021, https://arxiv.org/abs/2006.13202).
Its σ is learned with the weights (eq. 5), or fixed, or optimal: for each batch, the σ² that
minimizes its loss is the mean squared error of the batch (eq. 8). A batch must not choose the scale
by which it is tested, so a parameter follows the optimal value during the training, and the
evaluation uses it. A fixed σ is what β stands for: with the squared error, the weight β of the KL
is the scale σ² = β / 2.
"""

import math
from dataclasses import dataclass, replace
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood
from vae_cli.model.reductions import Whole, sum_last
from vae_cli.noise import Noise


@final
@dataclass(frozen=True)
class HalfVarianceNormal(Distribution):
    """Independent pixels, each N(mean, ½).

    Attributes:
        mean: `(..., C, H, W)`, pixels in [0, 1].
    """

    distortion_name = "mse"
    mean: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The sum of each image's squared errors: what VAE tutorials call MSE."""
        errors = F.mse_loss(self.mean, x.expand_as(self.mean), reduction="none")
        return sum_last(errors, x.ndim - 1)

    @property
    def constant(self) -> float:
        """½ D log π."""
        return 0.5 * math.log(math.pi) * math.prod(self.mean.shape[-3:])

    def sample(self, noise: Noise) -> Tensor:
        """One sample; its pixels may be outside [0, 1]."""
        return self.mean + math.sqrt(0.5) * noise.normal_like(self.mean)


@final
class SquaredError(Likelihood):
    """Pixels N(mean, ½), with the mean from a sigmoid."""

    distortion_name = "mse"

    def forward(self, outputs: Tensor) -> HalfVarianceNormal:
        """The distribution for raw outputs `(..., C, H, W)`."""
        return HalfVarianceNormal(torch.sigmoid(outputs.float()))

    def outputs_for(self, mean: Tensor) -> Tensor:
        """The inverse of the sigmoid."""
        return mean_to_logits(mean)


def mean_to_logits(mean: Tensor) -> Tensor:
    """Logits of means in [0, 1], which stay finite where all images are black or white."""
    return torch.logit(mean, eps=0.01)


MIN_LOG_VARIANCE = -12.0  # σ = 0.0025, below one of 256 grey levels


@final
@dataclass(frozen=True)
class SharedNormal(Distribution):
    """Independent pixels, each N(mean, σ²) with one σ.

    Attributes:
        mean: `(..., C, H, W)`, pixels in [0, 1].
        log_variance: log σ², a scalar.
        is_optimal: whether `distortion` uses the optimal σ² of the batch instead.
        whole: makes of values of a part of the batch those of all items; None if it is not divided.
    """

    distortion_name = "nll"
    mean: Tensor
    log_variance: Tensor
    is_optimal: bool = False
    whole: Whole | None = None

    def distortion(self, x: Tensor) -> Tensor:
        """The negative log-likelihood, without ½ D log 2π."""
        squares = (x - self.mean) ** 2
        if not self.is_optimal:
            return self._from_squares(squares, self.log_variance, x)
        optimal = self._mean(squares, x).log().clamp(min=MIN_LOG_VARIANCE)
        follow = self._from_squares(squares.detach(), self.log_variance, x)
        # The last two terms cancel; they only give the parameter its gradient.
        return self._from_squares(squares, optimal, x) + (follow - follow.detach())

    def _mean(self, squares: Tensor, x: Tensor) -> Tensor:
        """The mean of the squared errors of all pixels of the whole batch."""
        if self.whole is None:
            return squares.mean()
        by_item = squares.movedim(squares.ndim - x.ndim, 0).flatten(1).mean(1)
        return self.whole(by_item).mean()

    def of_part(self, whole: Whole) -> "SharedNormal":
        """The same, with the optimal σ² of the whole batch."""
        return replace(self, whole=whole)

    @staticmethod
    def _from_squares(squares: Tensor, log_variance: Tensor, x: Tensor) -> Tensor:
        return 0.5 * sum_last(squares * (-log_variance).exp() + log_variance, x.ndim - 1)

    @property
    def constant(self) -> float:
        """½ D log 2π."""
        return 0.5 * math.log(2 * math.pi) * math.prod(self.mean.shape[-3:])

    def sample(self, noise: Noise) -> Tensor:
        """One sample; its pixels may be outside [0, 1]."""
        scale = (0.5 * self.log_variance).exp()
        return self.mean + scale * noise.normal_like(self.mean)


@final
class SharedGaussian(Likelihood):
    """Pixels N(mean, σ²), with the mean from a sigmoid and one σ for all of them.

    Args:
        is_optimal: whether the training uses the optimal σ of each batch.
        sigma: the σ that is fixed; None if it is learned.
    """

    log_variance: Tensor

    def __init__(self, *, is_optimal: bool = False, sigma: float | None = None) -> None:
        super().__init__()
        self.is_optimal = is_optimal
        if sigma is None:
            self.log_variance = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("log_variance", torch.tensor(2 * math.log(sigma)))

    def forward(self, outputs: Tensor) -> SharedNormal:
        """The distribution for raw outputs `(..., C, H, W)`."""
        log_variance = self.log_variance.clamp(min=MIN_LOG_VARIANCE)
        mean = torch.sigmoid(outputs.float())
        return SharedNormal(mean, log_variance, self.is_optimal and self.training)

    def outputs_for(self, mean: Tensor) -> Tensor:
        """The inverse of the sigmoid."""
        return mean_to_logits(mean)


MIN_LOG_SCALE = -6.0  # b = 0.0025, below one of 256 grey levels


@final
@dataclass(frozen=True)
class LaplacePixels(Distribution):
    """Independent pixels, each Laplace(mean, b) with one b.

    Attributes:
        mean: `(..., C, H, W)`, pixels in [0, 1].
        log_scale: log b, a scalar.
    """

    distortion_name = "nll"
    mean: Tensor
    log_scale: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The negative log-likelihood, without D log 2."""
        errors = (x - self.mean).abs() * (-self.log_scale).exp() + self.log_scale
        return sum_last(errors, x.ndim - 1)

    @property
    def constant(self) -> float:
        """D log 2."""
        return math.log(2) * math.prod(self.mean.shape[-3:])

    def sample(self, noise: Noise) -> Tensor:
        """One sample, by the inverse of the distribution function; it may be outside [0, 1]."""
        uniform = noise.uniform_like(self.mean, -0.5, 0.5)
        error = -uniform.sign() * torch.log1p(-2 * uniform.abs())
        return self.mean + self.log_scale.exp() * error


@final
class Laplace(Likelihood):
    """Pixels Laplace(mean, b), with the mean from a sigmoid and one learned b for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((), -1.0))

    def forward(self, outputs: Tensor) -> LaplacePixels:
        """The distribution for raw outputs `(..., C, H, W)`."""
        log_scale = self.log_scale.clamp(min=MIN_LOG_SCALE)
        return LaplacePixels(torch.sigmoid(outputs.float()), log_scale)

    def outputs_for(self, mean: Tensor) -> Tensor:
        """The inverse of the sigmoid."""
        return mean_to_logits(mean)
