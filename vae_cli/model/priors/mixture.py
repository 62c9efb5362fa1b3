"""Mixtures of normal distributions: with free parameters, or the posteriors of pseudo-inputs.

    p(z) = 1/K Σ_k N(z; μ_k, diag σ²_k)

`VampPrior` takes the components from the encoder: μ_k and σ_k are the posterior of a pseudo-input
u_k that is learned like a weight (Tomczak & Welling, 2018, https://arxiv.org/abs/1705.07120, eq.
9). With the training set as pseudo-inputs it would be the aggregated posterior, the best prior.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.posterior import DiagonalNormal, Posterior, require_normal
from vae_cli.model.priors.prior import Prior
from vae_cli.model.reductions import log_sum_exp
from vae_cli.noise import Noise


@final
@dataclass(frozen=True)
class NormalMixture:
    """A mixture with equal weights.

    Attributes:
        components: parameters `(K, D)`.
    """

    components: DiagonalNormal

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        chosen = self.components[noise.integers(len(self.components.mean), count)]
        return chosen.sample(count, noise, temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`.

        The squared distances to all components are three matrix products, so that no tensor of
        `(..., K, D)` is needed.
        """
        components = self.components
        precision = (-components.log_variance).exp()
        distance = z**2 @ precision.T - 2 * z @ (components.mean * precision).T
        offset = components.mean**2 * precision + components.log_variance + math.log(2 * math.pi)
        log_probs = -0.5 * (distance + offset.sum(-1))
        return log_sum_exp(log_probs, -1) - math.log(len(components.mean))


@final
class MixtureOfNormals(Prior):
    """A mixture with equal weights whose means and variances are learned.

    Args:
        latent_dim: D.
        components: K.
    """

    def __init__(self, latent_dim: int, components: int) -> None:
        super().__init__()
        self.event_shape = (latent_dim,)
        self.mean = nn.Parameter(torch.randn(components, latent_dim))
        self.log_variance = nn.Parameter(torch.zeros(components, latent_dim))

    def forward(self, y: Tensor | None = None) -> NormalMixture:  # noqa: ARG002
        """The mixture."""
        return NormalMixture(DiagonalNormal(self.mean, self.log_variance))


@final
class VampPrior(Prior):
    """The mixture of the posteriors of learned pseudo-inputs.

    Args:
        encode: the encoder, items `(K, ...)` to their posteriors; its weights are not the prior's.
        pseudo_inputs: `(K, ...)`, where the learning starts.
        latent_dim: D.
        is_image: whether pixels are held in [0, 1].
    """

    def __init__(
        self,
        encode: Callable[[Tensor], Posterior],
        pseudo_inputs: Tensor,
        latent_dim: int,
        *,
        is_image: bool,
    ) -> None:
        super().__init__()
        self.encode, self.event_shape, self.is_image = encode, (latent_dim,), is_image
        self.pseudo_inputs = nn.Parameter(pseudo_inputs)

    def items(self) -> Tensor:
        """The pseudo-inputs as the encoder takes them, `(K, ...)`."""
        return self.pseudo_inputs.clamp(0, 1) if self.is_image else self.pseudo_inputs

    def forward(self, y: Tensor | None = None) -> NormalMixture:  # noqa: ARG002
        """The mixture; the pseudo-inputs are encoded now."""
        return NormalMixture(require_normal(self.encode(self.items())))
