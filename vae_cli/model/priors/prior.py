"""What a prior p(z) is."""

from abc import ABC, abstractmethod

from torch import Generator, Tensor, nn

from vae_cli.model.normal import DiagonalNormal


class Prior(nn.Module, ABC):
    """A distribution over latents, which the KL term pulls the posteriors towards.

    Attributes:
        latent_dim: D.
    """

    latent_dim: int

    @abstractmethod
    def sample(self, count: int, generator: Generator | None = None) -> Tensor:
        """`count` independent samples, `(count, D)`, on the device of the prior."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""

    def kl(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """KL(posterior ‖ prior) in nats, estimated with samples `z` `(K, B, D)`: `(B, 1)`.

        A prior with a closed form overrides this, and returns the KL by dimension, `(B, D)`.
        """
        return (posterior.log_prob(z) - self.log_prob(z)).mean(0)[:, None]
