"""A Gaussian with one scale for all pixels, learned, optimal or fixed: the σ-VAE.

    −log p(x|z) = Σ ½ (x − mean)² / σ² + ½ log σ²  +  ½ D log 2π

Rybkin, Daniilidis & Levine (2021, https://arxiv.org/abs/2006.13202). `learned` trains log σ² with
the weights (eq. 5). `optimal` takes for each batch the σ² that minimizes its loss, which is the
mean squared error of the batch (eq. 8). A batch must not choose the scale by which it is tested, so
a parameter follows the optimal value during the training, and the evaluation uses it. A fixed σ is
what β stands for: with the squared error, the weight β of the KL is the scale σ² = β / 2.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor, nn

from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood, sum_item
from vae_cli.model.likelihoods.mse import mean_to_logits

MIN_LOG_VARIANCE = -12.0  # σ = 0.0025, below one of 256 grey levels


@final
@dataclass(frozen=True)
class SharedNormal(Distribution):
    """Independent pixels, each N(mean, σ²) with one σ.

    Attributes:
        mean: `(..., C, H, W)`, pixels in [0, 1].
        log_variance: log σ², a scalar.
        is_optimal: whether `distortion` uses the optimal σ² of its items instead.
    """

    figure = "nll"
    mean: Tensor
    log_variance: Tensor
    is_optimal: bool = False

    def distortion(self, x: Tensor) -> Tensor:
        """The negative log-likelihood, without ½ D log 2π."""
        squares = (x - self.mean) ** 2
        if not self.is_optimal:
            return self._from_squares(squares, self.log_variance, x)
        optimal = squares.mean().log().clamp(min=MIN_LOG_VARIANCE)
        follow = self._from_squares(squares.detach(), self.log_variance, x)
        # The last two terms cancel; they only give the parameter its gradient.
        return self._from_squares(squares, optimal, x) + (follow - follow.detach())

    @staticmethod
    def _from_squares(squares: Tensor, log_variance: Tensor, x: Tensor) -> Tensor:
        return 0.5 * sum_item(squares * (-log_variance).exp() + log_variance, x.shape[1:])

    @property
    def constant(self) -> float:
        """½ D log 2π."""
        return 0.5 * math.log(2 * math.pi) * math.prod(self.mean.shape[-3:])

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One sample; its pixels may be outside [0, 1]."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + (0.5 * self.log_variance).exp() * noise


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
