"""One pass from items through their latents back to items."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from vae_cli.model.likelihoods.likelihood import Distribution
from vae_cli.model.posterior import DiagonalNormal


class LatentPrior(Protocol):
    """What a level needs of its prior p(z), or p(z | the levels above)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(K, B, D)`, in nats: `(K, B)`."""

    def kl(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:
        """KL(posterior ‖ prior), in nats; see `Level.kl`."""


@dataclass(frozen=True)
class Level:
    """One stochastic layer.

    Attributes:
        posterior: q(z|x), parameters `(B, D)`, or `(K, B, D)` below another level.
        prior: p(z), given the samples of the levels above.
        z: samples from the posterior, `(K, B, D)`.
    """

    posterior: DiagonalNormal
    prior: LatentPrior
    z: Tensor

    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) in nats, averaged over the K samples.

        Returns:
            `(B, D)`, by dimension, where the prior has a closed form; otherwise the Monte Carlo
            estimate `(B, 1)` of all dimensions together.
        """
        return self.prior.kl(self.posterior, self.z)

    def log_ratio(self) -> Tensor:
        """Log p(z) − log q(z|x) in nats, for every sample: `(K, B)`."""
        return self.prior.log_prob(self.z) - self.posterior.log_prob(self.z)

    def kl_by_dim(self) -> Tensor:
        """What each dimension tells about an item, in nats: `(B, D)`.

        This is the KL where it has a closed form. Otherwise it is the KL to the normal distribution
        with the moments of the batch's posteriors. The average of that over the batch is an upper
        bound of the mutual information between the items and this dimension.
        """
        kl = self.kl()
        if kl.shape[-1] == self.z.shape[-1]:
            return kl
        mean, log_variance = self.posterior.mean, self.posterior.log_variance
        variance = log_variance.exp().mean(0) + mean.var(0, correction=0)
        return DiagonalNormal(mean.mean(0), variance.log()).kl_from(self.posterior)


@dataclass(frozen=True)
class ConditionalPrior:
    """p(z | the levels above), for samples of these levels.

    Attributes:
        normal: parameters `(K, B, D)`.
    """

    normal: DiagonalNormal

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(K, B, D)`, in nats: `(K, B)`."""
        return self.normal.log_prob(z)

    def kl(self, posterior: DiagonalNormal, z: Tensor) -> Tensor:  # noqa: ARG002  closed form
        """KL(posterior ‖ prior) of each dimension, averaged over the K samples: `(B, D)`."""
        return average_samples(self.normal.kl_from(posterior))


@dataclass(frozen=True)
class Inference:
    """One pass from items through K samples of their latents back to items.

    Attributes:
        levels: the stochastic layers, the one furthest from the item first.
        likelihood: p(x|z), with mean `(K, B, C, H, W)` or `(K, B, D)`.
    """

    levels: tuple[Level, ...]
    likelihood: Distribution

    def kl(self) -> Tensor:
        """KL of all levels in nats, averaged over the K samples: `(B,)`."""
        return sum_levels([level.kl().sum(-1) for level in self.levels])

    def log_ratio(self) -> Tensor:
        """Log p(z) − log q(z|x) of all levels in nats, for every sample: `(K, B)`."""
        return sum_levels([level.log_ratio() for level in self.levels])

    def log_weights(self, x: Tensor) -> Tensor:
        """Log p(x|z) + log p(z) − log q(z|x) in nats, for every sample: `(K, B)`.

        The average over K is the ELBO. `logsumexp` over K minus log K is the bound of Burda et al.
        (2016, eq. 8).
        """
        return self.likelihood.log_prob(x) + self.log_ratio()


def sum_levels(values: list[Tensor]) -> Tensor:
    """The sum of one value per level; of a single level it is that value, without an addition."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def average_samples(values: Tensor) -> Tensor:
    """The average over the first axis, `(K, ...)` to `(...)`; of one sample it costs nothing."""
    return values[0] if len(values) == 1 else values.mean(0)
