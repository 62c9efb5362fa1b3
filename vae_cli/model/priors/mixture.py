"""Mixtures of normal distributions: with free parameters, or the posteriors of pseudo-inputs.

    p(z) = 1/K Σ_k N(z; μ_k, diag σ²_k)

`VampPrior` takes the components from the encoder: μ_k and σ_k are the posterior of a pseudo-input
u_k that is learned like a weight (Tomczak & Welling, 2018, https://arxiv.org/abs/1705.07120, eq.
9). With the training set as pseudo-inputs it would be the aggregated posterior, the best prior.
"""

import math
from typing import final

import torch
from torch import Generator, Tensor, nn

from vae_cli.model.logsumexp import log_sum_exp
from vae_cli.model.normal import DiagonalNormal
from vae_cli.model.priors.prior import Encode, Prior


@final
class MixtureOfNormals(Prior):
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

    def sample(
        self, count: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        components = DiagonalNormal(self.mean, self.log_variance)
        return sample_mixture(components, count, generator, temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        return mixture_log_prob(DiagonalNormal(self.mean, self.log_variance), z)


@final
class FixedMixture(Prior):
    """A mixture with equal weights whose components are given.

    Args:
        components: parameters `(K, D)`.
    """

    def __init__(self, components: DiagonalNormal) -> None:
        super().__init__()
        self.components, self.latent_dim = components, components.mean.shape[1]

    def sample(
        self, count: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        return sample_mixture(self.components, count, generator, temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        return mixture_log_prob(self.components, z)


@final
class VampPrior(Prior):
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

    def sample(
        self, count: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        return self.for_pass().sample(count, generator, temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        return self.for_pass().log_prob(z)

    def for_pass(self) -> FixedMixture:
        """The same prior, with the pseudo-inputs encoded once."""
        return FixedMixture(self.encode(self.items()))

    def encode_with(self, encode: Encode, x: Tensor) -> tuple[DiagonalNormal, FixedMixture]:
        """The posterior of items `(B, ...)`, and the same prior: both are encoded in one batch."""
        both, count = encode(torch.cat([x, self.items()])), len(x)
        return both[:count], FixedMixture(both[count:])

    def items(self) -> Tensor:
        """The pseudo-inputs as the encoder takes them, `(K, ...)`."""
        return self.pseudo_inputs.clamp(0, 1) if self.is_image else self.pseudo_inputs


def sample_mixture(
    components: DiagonalNormal, count: int, generator: Generator | None, temperature: float
) -> Tensor:
    """`count` independent samples `(count, D)` of a mixture; see `Prior.sample`."""
    mean = components.mean
    picked = components[torch.randint(len(mean), (count,), device=mean.device, generator=generator)]
    return picked.mean.lerp(picked.rsample(generator), temperature)


def mixture_log_prob(components: DiagonalNormal, z: Tensor) -> Tensor:
    """The log-density of `z` `(..., D)` under a mixture with equal weights, in nats: `(...)`.

    The squared distances to all components are three matrix products, so that no tensor of
    `(..., K, D)` is needed.
    """
    precision = (-components.log_variance).exp()
    distance = z**2 @ precision.T - 2 * z @ (components.mean * precision).T
    offset = components.mean**2 * precision + components.log_variance + math.log(2 * math.pi)
    log_probs = -0.5 * (distance + offset.sum(-1))
    return log_sum_exp(log_probs, -1) - math.log(len(components.mean))
