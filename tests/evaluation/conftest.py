"""A model whose figures are known in closed form.

    z ~ N(0, I_2),   x = W z + b + noise of N(0, s²),   q(z|x) = N(A (x − b), diag v)

in float64. With `A` and `v` of the exact posterior and orthogonal columns of W, q(z|x) = p(z|x).
"""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Generator, Tensor, nn

from vae_cli.data.split import InMemory
from vae_cli.model import VAE, DiagonalNormal, Distribution, Likelihood, StandardNormal
from vae_cli.noise import Noise

VALUES, NOISE = 6, 0.5


@dataclass(frozen=True)
class Normal(Distribution):
    distortion_name = "nll"
    mean: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        return 0.5 * ((x - self.mean) ** 2).sum(-1) / NOISE**2

    @property
    def constant(self) -> float:
        return 0.5 * VALUES * math.log(2 * math.pi * NOISE**2)

    def sample(self, noise: Noise) -> Tensor:
        return self.mean + NOISE * noise.normal_like(self.mean)


class Gaussian(Likelihood):
    def forward(self, outputs: Tensor) -> Normal:
        return Normal(outputs)

    def outputs_for(self, mean: Tensor) -> Tensor:
        return mean


class LinearEncoder(nn.Module):
    def __init__(self, weight: Tensor, shift: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("shift", shift)
        self.register_buffer("log_variance", variance.log())

    def forward(self, x: Tensor) -> DiagonalNormal:
        mean = (x - self.shift) @ self.weight.T
        return DiagonalNormal(mean, self.log_variance.expand_as(mean))


@dataclass(frozen=True)
class Solvable:
    """The model, items from it, and log p(x) of each item."""

    model: VAE
    split: InMemory
    log_likelihood: Tensor
    information: float


def make_solvable(*, scale: float = 1.0, widen: float = 1.0) -> Solvable:
    """The model with its posterior variances multiplied by `widen`; 1 is the exact posterior."""
    generator = Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(VALUES, 2, generator=generator, dtype=torch.float64))[0]
    weight = scale * basis * torch.tensor([2.0, 1.0], dtype=torch.float64)
    shift = torch.linspace(-1, 1, VALUES, dtype=torch.float64)
    precision = 1 + (weight**2).sum(0) / NOISE**2
    decoder = nn.Linear(2, VALUES, dtype=torch.float64)
    with torch.no_grad():
        decoder.weight.copy_(weight)
        decoder.bias.copy_(shift)
    encoder = LinearEncoder(weight.T / NOISE**2 / precision[:, None], shift, widen / precision)
    model = VAE(encoder, decoder, Gaussian(), StandardNormal(2).double()).eval()
    z = torch.randn(500, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(500, VALUES, generator=generator, dtype=torch.float64)
    x = z @ weight.T + shift + NOISE * noise
    covariance = weight @ weight.T + NOISE**2 * torch.eye(VALUES, dtype=torch.float64)
    exact = torch.distributions.MultivariateNormal(shift, covariance).log_prob(x)
    split = InMemory(x, torch.arange(500), torch.empty(0, dtype=torch.int64), encode=lambda t: t)
    return Solvable(model, split, exact, 0.5 * precision.log().sum().item())


@pytest.fixture(scope="session")
def exact() -> Solvable:
    """The model with its exact posterior."""
    return make_solvable()


@pytest.fixture(scope="session")
def wide() -> Solvable:
    """The model with a posterior that is twice as wide as the exact one."""
    return make_solvable(widen=2.0)
