"""A Laplace distribution with one learned scale: an absolute error.

−log p(x|z) = Σ |x − location| / b + log b  +  D log 2
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor, nn

from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood, sum_item
from vae_cli.model.likelihoods.mse import mean_to_logits

MIN_LOG_SCALE = -6.0  # b = 0.0025, below one of 256 grey levels


@final
@dataclass(frozen=True)
class LaplacePixels(Distribution):
    """Independent pixels, each Laplace(mean, b) with one b.

    Attributes:
        mean: `(..., C, H, W)`, pixels in [0, 1].
        log_scale: log b, a scalar.
    """

    figure = "nll"
    mean: Tensor
    log_scale: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The negative log-likelihood, without D log 2."""
        errors = (x - self.mean).abs() * (-self.log_scale).exp() + self.log_scale
        return sum_item(errors, x.shape[1:])

    @property
    def constant(self) -> float:
        """D log 2."""
        return math.log(2) * math.prod(self.mean.shape[-3:])

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One sample, by the inverse of the distribution function; it may be outside [0, 1]."""
        uniform = torch.empty_like(self.mean).uniform_(-0.5, 0.5, generator=generator)
        noise = -uniform.sign() * torch.log1p(-2 * uniform.abs())
        return self.mean + self.log_scale.exp() * noise


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
