"""A model whose likelihood is known: x = W z + b + noise, with N(0, I) latents, in float64."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor

from vae_cli.data.batch import Batch
from vae_cli.model import DiagonalNormal, Inference, Level, StandardNormal
from vae_cli.model.likelihoods import HalfVarianceNormal
from vae_cli.noise import Noise

NOISE_VARIANCE = 0.5  # that of HalfVarianceNormal


@dataclass(frozen=True)
class LinearGaussian:
    """The columns of W are orthogonal, so that the true posterior is diagonal.

    Attributes:
        weight: W, `(P, D)`.
        offset: b, `(P,)`.
        widening: how much wider than the true posterior the encoder's is; 0 makes it exact.
    """

    weight: Tensor
    offset: Tensor
    widening: float = 0.0

    @classmethod
    def make(cls, pixels: int = 6, dims: int = 3, widening: float = 0.0) -> Self:
        torch.manual_seed(0)
        orthogonal = torch.linalg.qr(torch.randn(pixels, dims, dtype=torch.float64)).Q
        scale = torch.linspace(0.3, 1.5, dims, dtype=torch.float64)
        return cls(orthogonal * scale, torch.rand(pixels, dtype=torch.float64), widening)

    def items(self, count: int) -> Tensor:
        """Samples from the model, as images `(count, 1, 1, P)`."""
        generator = Generator().manual_seed(1)
        z = torch.randn(count, self.weight.shape[1], generator=generator, dtype=torch.float64)
        noise = torch.randn(count, len(self.offset), generator=generator, dtype=torch.float64)
        rows = z @ self.weight.T + self.offset + math.sqrt(NOISE_VARIANCE) * noise
        return rows[:, None, None]

    def posterior(self, batch: Batch) -> DiagonalNormal:
        """The true posterior, or a wider one."""
        precision = 1 + (self.weight**2).sum(0) / NOISE_VARIANCE
        centred = batch.x.flatten(1) - self.offset
        mean = centred @ self.weight / NOISE_VARIANCE / precision
        return DiagonalNormal(mean, self.widening - precision.log().expand_as(mean))

    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        posterior = self.posterior(batch)
        prior = StandardNormal(self.weight.shape[1]).double()()
        level = Level.draw(posterior, prior, samples, noise)
        mean = (level.z @ self.weight.T + self.offset)[..., None, None, :]
        return Inference((level,), HalfVarianceNormal(mean))

    def log_likelihood(self, x: Tensor) -> Tensor:
        """The exact log p(x) of each item, `(B,)`."""
        noise = NOISE_VARIANCE * torch.eye(len(self.offset), dtype=torch.float64)
        covariance = self.weight @ self.weight.T + noise
        normal = torch.distributions.MultivariateNormal(self.offset, covariance)
        return normal.log_prob(x.flatten(1))
