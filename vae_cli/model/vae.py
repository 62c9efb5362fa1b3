"""The variational autoencoder (Kingma & Welling, 2014, https://arxiv.org/abs/1312.6114).

prior       p(z)   = N(0, I)
posterior   q(z|x) = N(μ(x), diag σ²(x))      the encoder
likelihood  p(x|z)                            the decoder
"""

from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Generator, Tensor, nn

from vae_cli.model.likelihoods import Likelihood
from vae_cli.model.normal import DiagonalNormal
from vae_cli.model.priors import Prior, StandardNormal
from vae_cli.model.vectors import ColumnScaling


@dataclass(frozen=True)
class Inference:
    """One pass from items through their latents back to items.

    Attributes:
        posterior: q(z|x), parameters `(B, D)`.
        z: a sample from the posterior, `(B, D)`.
        prior: p(z).
        likelihood: p(x|z), with mean `(B, C, H, W)` or `(B, D)`.
    """

    posterior: DiagonalNormal
    z: Tensor
    prior: Prior
    likelihood: Likelihood


class Model(Protocol):
    """A model that can be trained: a call does one inference pass."""

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Inference:
        """Encode, sample and decode images `(B, C, H, W)` in [0, 1], or rows `(B, D)`."""


@final
class VAE(nn.Module):
    """An encoder and a decoder that share a latent space.

    Example:
        >>> import torch
        >>> from vae_cli.model import MLPDecoder, MLPEncoder, VAE
        >>> shape, hidden, latent_dim = (1, 28, 28), (400,), 20
        >>> encoder = MLPEncoder(shape, hidden, latent_dim)
        >>> model = VAE(encoder, MLPDecoder(shape, hidden, latent_dim), latent_dim)
        >>> inference = model(torch.rand(8, *shape))
        >>> inference.z.shape, inference.likelihood.mean.shape
        (torch.Size([8, 20]), torch.Size([8, 1, 28, 28]))

    Args:
        encoder: images `(B, C, H, W)` to a `DiagonalNormal` with parameters `(B, D)`.
        decoder: latents `(B, D)` to a `Likelihood` with mean `(B, C, H, W)`.
        latent_dim: D.
        columns: the scaling of the columns of a table; None for images.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        latent_dim: int,
        columns: ColumnScaling | None = None,
    ) -> None:
        super().__init__()
        self.columns = columns
        self.encoder = encoder
        self.decoder = decoder
        self.latent_dim = latent_dim

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def standardize(self, items: Tensor) -> Tensor:
        """Items in the units of the data as the network takes them."""
        return items if self.columns is None else self.columns.standardize(items)

    def restore(self, outputs: Tensor) -> Tensor:
        """What the network returns, in the units of the data."""
        return outputs if self.columns is None else self.columns.restore(outputs)

    def posterior(self, x: Tensor) -> DiagonalNormal:
        """q(z|x) for images `(B, C, H, W)` in [0, 1], or standardized rows `(B, D)`."""
        posterior: DiagonalNormal = self.encoder(x)
        return posterior

    def likelihood(self, z: Tensor) -> Likelihood:
        """p(x|z) for latents `(B, D)`."""
        likelihood: Likelihood = self.decoder(z)
        return likelihood

    def prior(self) -> StandardNormal:
        """p(z)."""
        return StandardNormal(self.latent_dim, self.device)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Inference:
        """Encode, take one sample, and decode."""
        posterior = self.posterior(x)
        z = posterior.rsample(generator)
        return Inference(posterior, z, self.prior(), self.likelihood(z))
