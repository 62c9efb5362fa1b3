"""The normal distribution with a diagonal covariance.

N(z; μ, diag σ²) with σ² = exp(log_variance)
KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²) for each dimension
"""

import math
from dataclasses import dataclass
from typing import Self, final

import torch
from torch import Generator, Tensor


@final
@dataclass(frozen=True)
class DiagonalNormal:
    """Independent normal variables along the last axis.

    Attributes:
        mean: `(..., D)`.
        log_variance: `(..., D)`, the logarithm of the variance (not of the standard deviation).

    Example:
        >>> posterior = DiagonalNormal(torch.zeros(4, 2), torch.zeros(4, 2))
        >>> posterior.rsample(samples=3).shape, posterior.kl_to_standard().sum().item()
        (torch.Size([3, 4, 2]), 0.0)
    """

    mean: Tensor
    log_variance: Tensor

    @property
    def scale(self) -> Tensor:
        """The standard deviation, `(..., D)`."""
        return (0.5 * self.log_variance).exp()

    def __getitem__(self, items: slice | Tensor) -> "DiagonalNormal":
        """The distribution of some items only."""
        return DiagonalNormal(self.mean[items], self.log_variance[items])

    def expand(self, samples: int) -> "DiagonalNormal":
        """The same distribution for each of K samples: parameters `(K, ..., D)`."""
        mean, log_variance = self.mean, self.log_variance
        shape = (samples, *mean.shape)
        return DiagonalNormal(mean[None].expand(shape), log_variance[None].expand(shape))

    def rsample(self, generator: Generator | None = None, samples: int | None = None) -> Tensor:
        """Samples that gradients flow through (Kingma & Welling, 2014, sec. 2.4).

        Returns:
            One sample `(..., D)`, or `(samples, ..., D)` if a number is given.
        """
        mean, scale = self.mean, self.scale
        if samples is not None:
            mean, scale = mean[None], scale[None]
        shape = mean.shape if samples is None else (samples, *self.mean.shape)
        noise = mean.new_empty(shape).normal_(generator=generator)
        return torch.addcmul(mean, scale, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of `value` `(..., D)`, in nats, summed over dimensions: `(...)`."""
        return self.log_prob_by_dim(value).sum(-1)

    def log_prob_by_dim(self, value: Tensor) -> Tensor:
        """The log-density of each dimension of `value` `(..., D)`, in nats: `(..., D)`."""
        error = (value - self.mean) ** 2 * (-self.log_variance).exp()
        return -0.5 * (error + self.log_variance + math.log(2 * math.pi))

    def kl_to_standard(self) -> Tensor:
        """KL to N(0, 1) of each dimension, in nats: `(..., D)` (Kingma & Welling, appendix B)."""
        return 0.5 * (self.mean**2 + self.log_variance.exp() - 1 - self.log_variance)

    def kl_from(self, other: "DiagonalNormal") -> Tensor:
        """KL(other ‖ this) of each dimension, in nats: `(..., D)`."""
        ratio = other.log_variance - self.log_variance
        distance = (other.mean - self.mean) ** 2 * (-self.log_variance).exp()
        return 0.5 * (distance + ratio.exp() - 1 - ratio)

    def detach(self) -> Self:
        """The same distribution, whose parameters receive no gradient."""
        return type(self)(self.mean.detach(), self.log_variance.detach())
