"""The normal distribution with a diagonal covariance.

N(z; μ, diag σ²) with σ² = exp(log_variance)
KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²) for each dimension
"""

import math
from dataclasses import dataclass
from typing import final

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
        >>> posterior.rsample().shape, posterior.kl_to_standard().sum().item()
        (torch.Size([4, 2]), 0.0)
    """

    mean: Tensor
    log_variance: Tensor

    @property
    def scale(self) -> Tensor:
        """The standard deviation, `(..., D)`."""
        return (0.5 * self.log_variance).exp()

    def rsample(self, generator: Generator | None = None) -> Tensor:
        """One sample `(..., D)` that gradients flow through (Kingma & Welling, 2014, sec. 2.4)."""
        return torch.addcmul(self.mean, self.scale, _noise_like(self.mean, generator))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of `value` `(..., D)`, in nats, summed over dimensions: `(...)`."""
        error = (value - self.mean) ** 2 / self.log_variance.exp()
        return -0.5 * (error + self.log_variance + math.log(2 * math.pi)).sum(-1)

    def kl_to_standard(self) -> Tensor:
        """KL to N(0, 1) of each dimension, in nats: `(..., D)` (Kingma & Welling, appendix B)."""
        return 0.5 * (self.mean**2 + self.log_variance.exp() - 1 - self.log_variance)


def _noise_like(tensor: Tensor, generator: Generator | None) -> Tensor:
    return torch.empty_like(tensor).normal_(generator=generator)
