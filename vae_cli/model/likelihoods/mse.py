"""The likelihood of the article: a squared error.

Every pixel is N(mean, ½), so

    −log p(x|z) = ‖x − mean‖² + ½ D log π,

and the sum of an image's squared errors is a negative log-likelihood in nats, up to a constant. The
distortion leaves the constant out: it has the scale of the usual "MSE" of VAE tutorials.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood, sum_item


@final
@dataclass(frozen=True)
class HalfVarianceNormal(Distribution):
    """Independent pixels, each N(mean, ½).

    Attributes:
        mean: `(..., C, H, W)`, pixels in [0, 1].
    """

    figure = "mse"
    mean: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The sum of each image's squared errors: what VAE tutorials call MSE."""
        errors = F.mse_loss(self.mean, x.expand_as(self.mean), reduction="none")
        return sum_item(errors, x.shape[1:])

    @property
    def constant(self) -> float:
        """½ D log π."""
        return 0.5 * math.log(math.pi) * math.prod(self.mean.shape[-3:])

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One sample; its pixels may be outside [0, 1]."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + math.sqrt(0.5) * noise


@final
class SquaredError(Likelihood):
    """Pixels N(mean, ½), with the mean from a sigmoid."""

    figure = "mse"

    def forward(self, outputs: Tensor) -> HalfVarianceNormal:
        """The distribution for raw outputs `(..., C, H, W)`."""
        return HalfVarianceNormal(torch.sigmoid(outputs.float()))

    def outputs_for(self, mean: Tensor) -> Tensor:
        """The inverse of the sigmoid."""
        return mean_to_logits(mean)


def mean_to_logits(mean: Tensor) -> Tensor:
    """Logits of means in [0, 1], which stay finite where all images are black or white."""
    return torch.logit(mean, eps=0.01)
