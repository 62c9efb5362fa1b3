"""A flow prior: RealNVP (Dinh, Sohl-Dickstein & Bengio, 2017, https://arxiv.org/abs/1605.08803).

Coupling layers map z to noise u ~ N(0, I):

    u_fixed = z_fixed,    u_moved = (z_moved − t(z_fixed)) · exp(−s(z_fixed))      eq. 7, inverted
    log p(z) = log N(u; 0, I) − Σ s(z_fixed)                                       eq. 3

where s and t come from a small network, and the halves take turns. A learned prior of this kind
removes most of the distance between the prior and the aggregated posterior (Xu et al., 2019).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.posterior import UnitNormal
from vae_cli.model.priors.prior import Prior
from vae_cli.noise import Noise

MAX_LOG_SCALE = 2.0  # a layer stretches at most by e², so that the inverse stays exact


@final
class Coupling(nn.Module):
    """One affine coupling layer, which starts as the identity.

    Args:
        latent_dim: D.
        hidden: width of the network's two hidden layers.
        parity: 0 or 1; the dimensions with this remainder are fixed and move the others.
    """

    def __init__(self, latent_dim: int, hidden: int, parity: int) -> None:
        super().__init__()
        self.fixed, self.moved = slice(parity, None, 2), slice(1 - parity, None, 2)
        dims = range(latent_dim)
        moved = len(dims[self.moved])
        self.network = nn.Sequential(
            nn.Linear(len(dims[self.fixed]), hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 2 * moved),
        )
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Towards the noise: `(..., D)` to the same shape, and the log-determinant `(...)`."""
        log_scale, shift = self._affine(z)
        moved = (z[..., self.moved] - shift) * (-log_scale).exp()
        return self._join(z, moved), -log_scale.sum(-1)

    def inverse(self, u: Tensor) -> Tensor:
        """From the noise: `(..., D)` to the same shape."""
        log_scale, shift = self._affine(u)
        return self._join(u, u[..., self.moved] * log_scale.exp() + shift)

    def _affine(self, values: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self.network(values[..., self.fixed]).chunk(2, -1)
        return MAX_LOG_SCALE * torch.tanh(log_scale / MAX_LOG_SCALE), shift

    def _join(self, values: Tensor, moved: Tensor) -> Tensor:
        joined = torch.empty_like(values)
        joined[..., self.fixed] = values[..., self.fixed]
        joined[..., self.moved] = moved
        return joined


@final
@dataclass(frozen=True)
class TransformedNormal:
    """The distribution of z = f⁻¹(u) with u ~ N(0, I).

    Attributes:
        to_noise: f: latents `(..., D)` to noise of the same shape, and the log-determinant `(...)`.
        from_noise: its inverse.
        base: N(0, I).
    """

    to_noise: Callable[[Tensor], tuple[Tensor, Tensor]]
    from_noise: Callable[[Tensor], Tensor]
    base: UnitNormal

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        return self.from_noise(self.base.sample(count, noise, temperature))

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        u, log_determinant = self.to_noise(z)
        return self.base.log_prob(u) + log_determinant


@final
class RealNVP(Prior):
    """A stack of coupling layers above N(0, I).

    Args:
        latent_dim: D, at least 2.
        layers: number of coupling layers.
        hidden: width of their networks.
    """

    mean: Tensor

    def __init__(self, latent_dim: int, layers: int, hidden: int) -> None:
        super().__init__()
        self.event_shape = (latent_dim,)
        self.couplings = nn.ModuleList(
            Coupling(latent_dim, hidden, layer % 2) for layer in range(layers)
        )
        self.register_buffer("mean", torch.zeros(latent_dim))

    def forward(self, y: Tensor | None = None) -> TransformedNormal:  # noqa: ARG002
        """The distribution that the layers make of N(0, I)."""
        return TransformedNormal(self.to_noise, self.from_noise, UnitNormal(self.mean))

    def from_noise(self, u: Tensor) -> Tensor:
        """Noise `(..., D)` to latents of the same shape: the inverse of `to_noise`."""
        z = u
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            z = coupling.inverse(z)
        return z

    def to_noise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Latents `(..., D)` to noise of the same shape, and the log-determinant `(...)`."""
        log_determinant = z.new_zeros(z.shape[:-1])
        for coupling in self.couplings:
            z, change = coupling(z)
            log_determinant = log_determinant + change
        return z, log_determinant
