"""One pass from items through their latents back to items."""

from dataclasses import dataclass, replace
from typing import Self, final

from torch import Tensor

from vae_cli.model.likelihoods.likelihood import Distribution
from vae_cli.model.posterior import (
    LatentPrior,
    Posterior,
    kl,
    kl_by_dim,
    kl_by_group,
)
from vae_cli.model.reductions import Whole, sum_levels, undivided
from vae_cli.noise import Noise


@final
@dataclass(frozen=True)
class Level:
    """One stochastic layer.

    Attributes:
        posterior: q(z|x), given the samples of the levels above.
        prior: p(z), given the samples of the levels above.
        z: samples from the posterior, `(K, B, *event)`.
        log_q: log q(z|x) of them, `(K, B)`, if it came with the samples.
    """

    posterior: Posterior
    prior: LatentPrior
    z: Tensor
    log_q: Tensor | None = None

    @classmethod
    def draw(
        cls, posterior: Posterior, prior: LatentPrior, samples: int, noise: Noise | None
    ) -> Self:
        """A level with K samples, or K times the mode of the posterior if there is no noise."""
        return cls(posterior, prior, *posterior.draw(samples, noise))

    def log_prob(self) -> Tensor:
        """Log q(z|x) of the samples, in nats: `(K, B)`."""
        return self.posterior.log_prob(self.z) if self.log_q is None else self.log_q

    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) in nats, averaged over the K samples: `(B,)`; see `kl`."""
        return kl(self.posterior, self.prior, self.z, self.log_q)

    def kl_by_group(self) -> Tensor:
        """The same for each dimension `(B, D)`, or `(B, 1)`; see `kl_by_group`."""
        return kl_by_group(self.posterior, self.prior, self.z, self.log_q)

    def kl_by_dim(self, whole: Whole = undivided) -> Tensor | None:
        """What each dimension tells about an item, in nats: `(B, D)`; see `kl_by_dim`."""
        return kl_by_dim(self.posterior, self.prior, whole)

    def log_ratio(self) -> Tensor:
        """Log p(z) − log q(z|x) in nats, for every sample: `(K, B)`."""
        return self.prior.log_prob(self.z) - self.log_prob()

    def sample_prior(self, noise: Noise) -> Tensor:
        """One sample of the prior for each item, of its own if it has one: `(B, *event)`."""
        return self.prior.sample(self.z.shape[1], noise)


@final
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
        return sum_levels([level.kl() for level in self.levels])

    def of_part(self, whole: Whole) -> "Inference":
        """The same pass of items that are a part of a batch; see `Distribution.of_part`."""
        return replace(self, likelihood=self.likelihood.of_part(whole))

    def add_penalty(self, loss: Tensor) -> Tensor:
        """A loss of the batch plus what the posteriors of all levels cost besides their KL.

        Without such a cost it is the same tensor, so that nothing is computed.
        """
        for level in self.levels:
            penalty = level.posterior.penalty()
            loss = loss if penalty is None else loss + penalty.mean()
        return loss

    def statistics(self, noise: Noise) -> dict[str, Tensor]:
        """What the head of the top level learns from; see `Posterior.statistics`."""
        return self.levels[0].posterior.statistics(noise)

    def log_ratio(self) -> Tensor:
        """Log p(z) − log q(z|x) of all levels in nats, for every sample: `(K, B)`."""
        return sum_levels([level.log_ratio() for level in self.levels])

    def log_weights(self, x: Tensor) -> Tensor:
        """Log p(x|z) + log p(z) − log q(z|x) in nats, for every sample: `(K, B)`.

        The average over K is the ELBO. `logsumexp` over K minus log K is the bound of Burda et al.
        (2016, eq. 8).
        """
        return self.likelihood.log_prob(x) + self.log_ratio()
