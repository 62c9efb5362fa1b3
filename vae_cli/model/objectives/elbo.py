"""The evidence lower bound, and the β-VAE.

    ELBO(x)      = E_q(z|x) [log p(x|z)] − KL(q(z|x) ‖ p(z))        Kingma & Welling (2014), eq. 3
    β-VAE loss   = distortion + β KL                                Higgins et al. (2017), eq. 4
    free bits    : KL becomes Σ_j max(λ, mean over the batch of KL_j)   Kingma et al. (2016), eq. 15

At β = 1 and λ = 0 the loss is −ELBO up to the constant of the likelihood. The groups j are latent
dimensions, or whole stochastic layers.

A KL that is held at a capacity which rises: Burgess et al. (2018), eq. 8.

    loss = distortion + γ |KL − C|

The paper raises C linearly from 0 during the training (https://arxiv.org/abs/1804.03599).
"""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from vae_cli.model.inference import Inference, average_samples, sum_levels
from vae_cli.model.objectives.objective import AFTER_WARMUP, Context, Loss, Objective


@final
@dataclass(frozen=True)
class NegativeELBO(Objective):
    """The negative evidence lower bound.

    Attributes:
        beta: weight of the KL.
        free_bits: λ, in nats per group; 0 turns free bits off.
        by_level: whether a group is a whole level; otherwise it is a latent dimension.
    """

    beta: float = 1.0
    free_bits: float = 0.0
    by_level: bool = False

    def __call__(self, x: Tensor, inference: Inference, context: Context = AFTER_WARMUP) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1], or of rows `(B, D)`."""
        distortion = average_samples(inference.likelihood.distortion(x))
        kls = [level.kl() for level in inference.levels]
        weighted = self.beta * context.warmup * sum_levels([self._total(kl) for kl in kls])
        kl = sum_levels([kl.detach().sum(-1) for kl in kls])
        return Loss(
            (distortion.sum() + weighted) / len(x),
            {"kl": kl, inference.likelihood.figure: distortion.detach()},
        )

    def _total(self, kl: Tensor) -> Tensor:
        """The KL of a level `(B, D)`, summed over the batch, with free bits if there are any."""
        if self.free_bits == 0:
            return kl.sum()
        groups = (kl.sum(-1, keepdim=True) if self.by_level else kl).mean(0)
        return groups.clamp(min=self.free_bits).sum() * len(kl)


@final
@dataclass(frozen=True)
class Capacity(Objective):
    """The distortion, and how far the mean KL of the batch is from the capacity.

    Attributes:
        capacity: C at the end of the warm-up, in nats.
        gamma: weight of the distance.
    """

    capacity: float
    gamma: float

    def __call__(self, x: Tensor, inference: Inference, context: Context = AFTER_WARMUP) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1], or of rows `(B, D)`."""
        distortion, kl = average_samples(inference.likelihood.distortion(x)), inference.kl()
        distance = (kl.mean() - self.capacity * context.warmup).abs()
        return Loss(
            distortion.mean() + self.gamma * distance,
            {"kl": kl.detach(), inference.likelihood.figure: distortion.detach()},
        )
