"""Likelihoods with probabilities: of pixels that are black or white, or have one of 256 values.

Bernoulli pixels have the binary cross-entropy,

    −log p(x|z) = −Σ x log p + (1 − x) log(1 − p)

On grey values this is that of many tutorials: it is not the likelihood of a grey image, but it
equals the expected negative log-likelihood of the same image made black and white, because it is
linear in x. On images that are black and white, as an `ImageCodec` draws them, it is a likelihood,
and its figures can be compared with those of the literature.

A mixture of logistic distributions is one over the 256 values of a pixel,

    P(x) = Σ_m π_m [ σ((x + ½Δ − μ_m) / s_m) − σ((x − ½Δ − μ_m) / s_m) ],    Δ = 1/255

with everything below the first value added to it, and everything above the last value added to that
one (Salimans, Karpathy, Chen & Kingma, 2017, https://arxiv.org/abs/1701.05517, eq. 2). Channels are
independent given the latents; the paper's dependence of green on red and of blue on both is left
out.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_cli.model.likelihoods.continuous import mean_to_logits
from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood
from vae_cli.model.reductions import sum_last
from vae_cli.noise import Noise


@final
@dataclass(frozen=True)
class BernoulliPixels(Distribution):
    """Independent pixels, each white with the probability sigmoid(logits).

    Attributes:
        logits: `(..., C, H, W)`.
        distortion_name: `nll` for black and white images, or `bce` for grey values.
    """

    logits: Tensor
    distortion_name: str
    constant: ClassVar[float] = 0.0

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        """The probability of white, `(..., C, H, W)`."""
        return torch.sigmoid(self.logits)

    def distortion(self, x: Tensor) -> Tensor:
        """The binary cross-entropy, in nats."""
        target = x.expand_as(self.logits)
        losses = F.binary_cross_entropy_with_logits(self.logits, target, reduction="none")
        return sum_last(losses, x.ndim - 1)

    def sample(self, noise: Noise) -> Tensor:
        """One sample: pixels that are 0 or 1."""
        return noise.bernoulli(self.mean)


@final
class Bernoulli(Likelihood):
    """Bernoulli pixels.

    Args:
        is_binary: whether the items are black and white, so that `distortion` is a likelihood.
    """

    def __init__(self, *, is_binary: bool) -> None:
        super().__init__()
        self.distortion_name = "nll" if is_binary else "bce"

    def forward(self, outputs: Tensor) -> BernoulliPixels:
        """The distribution for raw outputs `(..., C, H, W)`."""
        return BernoulliPixels(outputs.float(), self.distortion_name)

    def outputs_for(self, mean: Tensor) -> Tensor:
        """The logits of the mean."""
        return mean_to_logits(mean)


HALF_LEVEL = 0.5 / 255  # half the distance between two values of a pixel in [0, 1]
MIN_LOG_SCALE = -7.0  # as in the paper's code, on its scale of [−1, 1]
START_LOG_SCALE = -2.0  # a pixel starts with a standard deviation of about a quarter


@final
@dataclass(frozen=True)
class LogisticMixture(Distribution):
    """Independent pixels with 256 values, each a mixture of M logistic distributions.

    Attributes:
        logits: of the components' weights, `(..., M, C, H, W)`.
        location: of each component, in the scale of pixels in [0, 1].
        log_scale: log s of each component.
    """

    distortion_name = "nll"
    constant: ClassVar[float] = 0.0
    logits: Tensor
    location: Tensor
    log_scale: Tensor

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        """The mean of the mixture, clamped to [0, 1]."""
        return (self.logits.softmax(-4) * self.location).sum(-4).clamp(0, 1)

    def distortion(self, x: Tensor) -> Tensor:
        """The negative logarithm of the probability of each pixel's value, in nats."""
        log_weights = self.logits.log_softmax(-4)
        value = x.unsqueeze(-4)
        log_probs = (log_weights + self._component_log_prob(value)).logsumexp(-4)
        return -sum_last(log_probs, x.ndim - 1)

    def _component_log_prob(self, value: Tensor) -> Tensor:
        """Log P(x) under each component: the logarithm of a difference of two sigmoids.

        With a above b, log(σ(a) − σ(b)) = log σ(a) + log σ(−b) + log(1 − exp(b − a)), which stays
        exact where both sigmoids are 0 or 1.
        """
        inverse_scale = (-self.log_scale).exp()
        above = (value + HALF_LEVEL - self.location) * inverse_scale
        below = (value - HALF_LEVEL - self.location) * inverse_scale
        log_above, log_below = F.logsigmoid(above), F.logsigmoid(-below)
        inside = log_above + log_below + torch.log1p(-torch.exp(-2 * HALF_LEVEL * inverse_scale))
        is_first, is_last = value < HALF_LEVEL, value > 1 - HALF_LEVEL
        return torch.where(is_first, log_above, torch.where(is_last, log_below, inside))

    def sample(self, noise: Noise) -> Tensor:
        """One sample, rounded to the 256 values."""
        weights = self.logits.softmax(-4) / noise.exponential_like(self.logits)
        chosen = weights.argmax(-4, keepdim=True)
        location, log_scale = (
            values.gather(-4, chosen).squeeze(-4) for values in (self.location, self.log_scale)
        )
        uniform = noise.uniform_like(location, 1e-6, 1 - 1e-6)
        value = location + log_scale.exp() * torch.logit(uniform)
        return (value.clamp(0, 1) * 255).round() / 255


@final
class DiscretizedLogistic(Likelihood):
    """A mixture of logistic distributions for each pixel.

    Args:
        components: M; a pixel needs 3 M raw outputs.
    """

    is_discrete = True

    def __init__(self, components: int) -> None:
        super().__init__()
        self.components = components
        self.outputs_per_value = 3 * components

    def forward(self, outputs: Tensor) -> LogisticMixture:
        """The distribution for raw outputs `(..., 3 M C, H, W)`."""
        split = outputs.float().unflatten(-3, (3, self.components, -1))
        logits, location, log_scale = split.unbind(-5)
        spread = torch.linspace(-0.4, 0.4, self.components, device=outputs.device)
        return LogisticMixture(
            logits,
            0.5 + spread.view(-1, 1, 1, 1) + location,
            (log_scale + START_LOG_SCALE).clamp(min=MIN_LOG_SCALE),
        )

    def outputs_for(self, mean: Tensor) -> Tensor:
        """Equal weights, and locations around the mean."""
        zeros = mean.new_zeros(self.components, *mean.shape)
        return torch.cat([zeros, zeros + mean - 0.5, zeros]).flatten(0, 1)
