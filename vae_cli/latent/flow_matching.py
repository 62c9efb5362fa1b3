"""A flow that carries noise to the latents of the training set: a second stage after the VAE.

A prior is chosen before the training, and the latents of a training set fill it badly, above all
those of a table, which lie in clouds, one for each combination of categories. A flow is fitted to
them afterwards and draws latents like them, which the decoder has learned to decode (TabSyn; Zhang
et al., 2024, https://arxiv.org/abs/2310.09656, does this by diffusion). A sample is noise that
follows an ordinary differential equation from the angle 0 to π/2:

    dz/dθ = v(z, θ),    z(0) = ε ~ N(0, I)

The velocity v is a network. It is learned from straight random pairs, without solving the equation
(flow matching: Lipman, Chen, Ben-Hamu, Nickel & Le, 2023, https://arxiv.org/abs/2210.02747, eq. 9):

    z(θ) = cos θ · ε + sin θ · z,    loss = E ‖v(z(θ), θ) − (cos θ · z − sin θ · ε)‖²

on this circular path (Albergo & Vanden-Eijnden, 2023, https://arxiv.org/abs/2209.15571), where the
variance stays 1. The latents are whitened first, by the inverse of a factor of their covariance. If
they were one normal distribution, the best velocity would then be 0. The network starts with that,
so that a flow without a single step is that normal distribution, and all that has to be learned is
what differs from it.
"""

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_cli.model import DiagonalNormal, Posterior
from vae_cli.noise import Noise

HIDDEN, BLOCKS = 128, 2
FREQUENCIES = 4  # of the angle, as the network sees it
ODE_STEPS = 10  # of the midpoint method, with two velocities each
CHUNK_SAMPLES = 20_000  # whose hidden layers take 10 MB each
MIN_VARIANCE = 1e-6  # added to the diagonal of the covariance


@final
class Block(nn.Module):
    """A residual block, which starts as the identity.

    Args:
        width: of the hidden layers.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: Tensor) -> Tensor:
        """`(B, width)` to the same shape."""
        change: Tensor = self.second(F.silu(self.first(F.silu(h))))
        return h + change


@final
class VelocityField(nn.Module):
    """The velocity v(z, θ), which starts as 0.

    Args:
        latent_dim: D.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.enter = nn.Linear(latent_dim + 2 * FREQUENCIES, HIDDEN)
        self.blocks = nn.Sequential(*(Block(HIDDEN) for _ in range(BLOCKS)))
        self.leave = nn.Linear(HIDDEN, latent_dim)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, z: Tensor, angle: Tensor) -> Tensor:
        """The velocities `(B, D)` of points `(B, D)` at angles `(B, 1)` from 0 to π/2."""
        turns = angle * torch.arange(2, 2 * FREQUENCIES + 1, 2, device=angle.device)
        h = self.enter(torch.cat([z, turns.cos(), turns.sin()], 1))
        velocity: Tensor = self.leave(F.silu(self.blocks(h)))
        return velocity


@final
class FittedFlow(nn.Module):
    """A `LatentSampler` that solves the equation from noise; `training/flow_fit.py` fits it.

    Args:
        latent_dim: D.

    Example:
        >>> import torch
        >>> flow = FittedFlow(2).whiten(DiagonalNormal(torch.randn(500, 2), torch.zeros(500, 2)))
        >>> flow.sample(4, Noise(0)).shape
        torch.Size([4, 2])
    """

    mean: Tensor
    scale_tril: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.velocity = VelocityField(latent_dim)
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale_tril", torch.eye(latent_dim))

    def whiten(self, posterior: Posterior) -> "FittedFlow":
        """Take the mean and the covariance of the latents of all items `(N, D)`; returns itself.

        The covariance of samples of independent normal variables is that of their means, plus the
        mean variance. Of other posteriors it is that of one sample for each item.
        """
        if isinstance(posterior, DiagonalNormal):
            means, within = posterior.mean.double(), posterior.log_variance.double().exp().mean(0)
        else:
            means = posterior.rsample(1, Noise(0))[0].detach().double()
            within = torch.zeros_like(means[0])
        centred = means - means.mean(0)
        covariance = centred.T @ centred / len(means) + (within + MIN_VARIANCE).diag()
        self.mean.copy_(means.mean(0))
        self.scale_tril.copy_(torch.linalg.cholesky(covariance))
        return self

    def loss(self, z: Tensor, noise: Noise) -> Tensor:
        """The matching loss of latents `(B, D)`, a mean over items and dimensions: a scalar.

        It is 1 for a velocity of 0, and its lowest possible value is not known.
        """
        z = torch.linalg.solve_triangular(self.scale_tril, (z - self.mean).T, upper=False).T
        angle = noise.uniform_like(z[:, :1], 0, math.pi / 2)
        epsilon, cos, sin = noise.normal(z.shape), angle.cos(), angle.sin()
        velocity = self.velocity(cos * epsilon + sin * z, angle)
        return F.mse_loss(velocity, cos * z - sin * epsilon)

    def sample(
        self,
        count: int,
        noise: Noise,
        temperature: float = 1.0,
        y: Tensor | None = None,  # noqa: ARG002  the latents are those of all items
    ) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        epsilon = temperature * noise.normal((count, len(self.mean)))
        return torch.cat([self.from_noise(part) for part in epsilon.split(CHUNK_SAMPLES)])

    @torch.no_grad()
    def from_noise(self, epsilon: Tensor) -> Tensor:
        """Where the equation carries noise `(B, D)`, by the midpoint method: `(B, D)`."""
        z, step = epsilon, math.pi / 2 / ODE_STEPS
        angle = torch.zeros_like(z[:, :1])
        for _ in range(ODE_STEPS):
            middle = z + step / 2 * self.velocity(z, angle)
            z = z + step * self.velocity(middle, angle + step / 2)
            angle = angle + step
        return self.mean + z @ self.scale_tril.T
