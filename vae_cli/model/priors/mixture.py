"""Mixtures of normal distributions: with free parameters, or the posteriors of pseudo-inputs.

    p(z) = 1/K Σ_k N(z; μ_k, diag σ²_k)

`VampPrior` takes the components from the encoder: μ_k and σ_k are the posterior of a pseudo-input
u_k that is learned like a weight (Tomczak & Welling, 2018, https://arxiv.org/abs/1705.07120, eq.
9). With the training set as pseudo-inputs it would be the aggregated posterior, the best prior.
"""

import math
from abc import abstractmethod
from typing import final

import torch
from torch import Generator, Tensor, nn

from vae_cli.model.logsumexp import log_sum_exp
from vae_cli.model.posterior import DiagonalNormal
from vae_cli.model.priors.prior import Encode, Prior


class Mixture(Prior):
    """A mixture with equal weights."""

    @abstractmethod
    def components(self) -> DiagonalNormal:
        """The components, parameters `(K, D)`."""

    def sample(
        self, count: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        components = self.components()
        device, number = components.mean.device, len(components.mean)
        chosen = components[torch.randint(number, (count,), device=device, generator=generator)]
        return chosen.mean.lerp(chosen.rsample(generator), temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`.

        The squared distances to all components are three matrix products, so that no tensor of
        `(..., K, D)` is needed.
        """
        components = self.components()
        precision = (-components.log_variance).exp()
        distance = z**2 @ precision.T - 2 * z @ (components.mean * precision).T
        offset = components.mean**2 * precision + components.log_variance + math.log(2 * math.pi)
        log_probs = -0.5 * (distance + offset.sum(-1))
        return log_sum_exp(log_probs, -1) - math.log(len(components.mean))


@final
class MixtureOfNormals(Mixture):
    """A mixture with equal weights whose means and variances are learned.

    Args:
        latent_dim: D.
        components: K.
    """

    def __init__(self, latent_dim: int, components: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.mean = nn.Parameter(torch.randn(components, latent_dim))
        self.log_variance = nn.Parameter(torch.zeros(components, latent_dim))

    def components(self) -> DiagonalNormal:
        """The components, parameters `(K, D)`."""
        return DiagonalNormal(self.mean, self.log_variance)


@final
class FixedMixture(Mixture):
    """A mixture whose components are known.

    Args:
        components: parameters `(K, D)`.
    """

    def __init__(self, components: DiagonalNormal) -> None:
        super().__init__()
        self.latent_dim, self.known = components.mean.shape[1], components

    def components(self) -> DiagonalNormal:
        """The components, parameters `(K, D)`."""
        return self.known


@final
class VampPrior(Mixture):
    """The mixture of the posteriors of learned pseudo-inputs.

    Args:
        encode: the encoder, items `(K, ...)` to their posteriors; its weights are not the prior's.
        pseudo_inputs: `(K, ...)`, where the learning starts.
        is_image: whether pixels are held in [0, 1].
        latent_dim: D.
    """

    def __init__(
        self,
        encode: Encode,
        pseudo_inputs: Tensor,
        latent_dim: int,
        *,
        is_image: bool,
    ) -> None:
        super().__init__()
        self.encode, self.latent_dim, self.is_image = encode, latent_dim, is_image
        self.pseudo_inputs = nn.Parameter(pseudo_inputs)

    def components(self) -> DiagonalNormal:
        """The posteriors of the pseudo-inputs, parameters `(K, D)`."""
        return self.encode(self.items())

    def items(self) -> Tensor:
        """The pseudo-inputs as the encoder takes them, `(K, ...)`."""
        return self.pseudo_inputs.clamp(0, 1) if self.is_image else self.pseudo_inputs

    def for_pass(self) -> FixedMixture:
        """The same prior, with the pseudo-inputs encoded once."""
        return FixedMixture(self.components())

    def encode_with(self, encode: Encode, x: Tensor) -> tuple[DiagonalNormal, FixedMixture]:
        """The posterior of items `(B, ...)`, and the same prior: both are encoded in one batch."""
        both, count = encode(torch.cat([x, self.items()])), len(x)
        return both[:count], FixedMixture(both[count:])
