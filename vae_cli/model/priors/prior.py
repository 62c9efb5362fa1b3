"""What a prior p(z) is.

The standard normal prior, N(0, I).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Generator, Tensor, nn

from vae_cli.model.posterior import DiagonalNormal

Encode = Callable[[Tensor], DiagonalNormal]


class Prior(nn.Module, ABC):
    """A distribution over latents, which the KL term pulls the posteriors towards.

    Attributes:
        latent_dim: D.
    """

    latent_dim: int

    @abstractmethod
    def sample(
        self, count: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`count` independent samples, `(count, D)`, on the device of the prior.

        Args:
            count: their number.
            generator: the source of the random numbers.
            temperature: factor for the standard deviation of the normal noise that the samples are
                made of; below 1 they are closer to the mean of the prior, or of its components.
        """

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""

    def kl(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """KL(posterior ‖ prior) in nats, estimated with samples `z` `(K, B, D)`: `(B, 1)`.

        A prior with a closed form overrides this, and returns the KL by dimension, `(B, D)`.
        """
        return (posterior.log_prob(z) - self.log_prob(z)).mean(0)[:, None]

    def for_pass(self) -> "Prior":
        """The same prior for one pass through a model.

        A prior that needs the encoder overrides this, so that it runs once in a pass, and in the
        precision of the pass.
        """
        return self

    def encode_with(self, encode: Encode, x: Tensor) -> tuple[DiagonalNormal, "Prior"]:
        """The posterior of items `(B, ...)`, and the same prior for one pass.

        A prior that needs the encoder overrides this to use it once for both.
        """
        return encode(x), self.for_pass()


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
