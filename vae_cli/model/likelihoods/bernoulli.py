"""Bernoulli pixels: on grey values, or on images that are made black and white at random.

    −log p(x|z) = −Σ x log p + (1 − x) log(1 − p)

On grey values this is the binary cross-entropy of many tutorials: it is not the likelihood of a
grey image, but it equals the expected negative log-likelihood of the same image made black and
white, because it is linear in x. With `is_binary`, images are made black and white, each pixel
white with the probability of its grey value, anew at every step (dynamic binarization,
Salakhutdinov & Murray, 2008): such figures can be compared with those of the literature.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood, sum_item
from vae_cli.model.likelihoods.mse import mean_to_logits


@final
@dataclass(frozen=True)
class BernoulliPixels(Distribution):
    """Independent pixels, each white with the probability sigmoid(logits).

    Attributes:
        logits: `(..., C, H, W)`.
        figure: `nll` for black and white images, or `bce` for grey values.
    """

    logits: Tensor
    figure: str
    constant: ClassVar[float] = 0.0

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        """The probability of white, `(..., C, H, W)`."""
        return torch.sigmoid(self.logits)

    def distortion(self, x: Tensor) -> Tensor:
        """The binary cross-entropy, in nats."""
        target = x.expand_as(self.logits)
        losses = F.binary_cross_entropy_with_logits(self.logits, target, reduction="none")
        return sum_item(losses, x.shape[1:])

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One sample: pixels that are 0 or 1."""
        return torch.bernoulli(self.mean, generator=generator)


@final
class Bernoulli(Likelihood):
    """Bernoulli pixels.

    Args:
        is_binary: whether images are made black and white at every step of the training.
    """

    def __init__(self, *, is_binary: bool) -> None:
        super().__init__()
        self.is_binary, self.figure = is_binary, "nll" if is_binary else "bce"

    def forward(self, outputs: Tensor) -> BernoulliPixels:
        """The distribution for raw outputs `(..., C, H, W)`."""
        return BernoulliPixels(outputs.float(), self.figure)

    def outputs_for(self, mean: Tensor) -> Tensor:
        """The logits of the mean."""
        return mean_to_logits(mean)

    def observe(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """The images made black and white, if the likelihood is of such images."""
        return torch.bernoulli(x, generator=generator) if self.is_binary else x
