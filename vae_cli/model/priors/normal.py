"""The standard normal prior, N(0, I)."""

from typing import final

import torch
from torch import Generator, Tensor

from vae_cli.model.normal import DiagonalNormal
from vae_cli.model.priors.prior import Prior


@final
class StandardNormal(Prior):
    """p(z) = N(0, I).

    Args:
        latent_dim: D.
    """

    mean: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("mean", torch.zeros(latent_dim))

    def sample(
        self, count: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        shape = (count, self.latent_dim)
        return temperature * self.mean.new_empty(shape).normal_(generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        return DiagonalNormal(self.mean, self.mean).log_prob(z)

    def kl(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:  # noqa: ARG002  closed form
        """KL(posterior ‖ N(0, I)) of each dimension, in closed form: `(B, D)`."""
        return posterior.kl_to_standard()
