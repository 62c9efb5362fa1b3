"""p(x|z): how an image is drawn around what the decoder makes of a latent.

With a variance of ½ for every pixel,

    −log p(x|z) = ‖x − mean‖² + ½ D log π,

so the article's "MSE", the sum of an image's squared errors, is a negative log-likelihood in nats
up to a constant. `distortion` leaves that constant out and keeps losses on the article's scale.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch.nn.functional as F
from torch import Tensor


class Likelihood(ABC):
    """A distribution over images `(B, C, H, W)` with pixels in [0, 1]."""

    mean: Tensor

    @abstractmethod
    def distortion(self, x: Tensor) -> Tensor:
        """−log p(x|z) in nats, less what no parameter can change: `(B,)`."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over an image's pixels: `(B,)`."""


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
