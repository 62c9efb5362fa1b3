"""Priors p(z): the distribution of the latents before an item is seen."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor

from vae_cli.model.normal import DiagonalNormal


class Prior(ABC):
    """A distribution over latents, which the KL term pulls the posteriors towards."""

    @abstractmethod
    def sample(self, count: int, generator: Generator | None = None) -> Tensor:
        """`count` independent samples, `(count, D)`, on the device of the prior."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""

    @abstractmethod
    def kl_from(self, posterior: DiagonalNormal) -> Tensor:
        """KL(posterior ‖ prior) of each dimension, in nats: `(B, D)`."""


@final
@dataclass(frozen=True)
class StandardNormal(Prior):
    """p(z) = N(0, I).

    Attributes:
        latent_dim: D.
        device: where `sample` makes its samples.
    """

    latent_dim: int
    device: torch.device

    def sample(self, count: int, generator: Generator | None = None) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        return torch.randn(count, self.latent_dim, device=self.device, generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        return DiagonalNormal(torch.zeros_like(z), torch.zeros_like(z)).log_prob(z)

    def kl_from(self, posterior: DiagonalNormal) -> Tensor:
        """KL(posterior ‖ N(0, I)) of each dimension, in closed form: `(B, D)`."""
        return posterior.kl_to_standard()
