"""The evidence lower bound, and objectives that change the weight of its KL.

    ELBO(x)      = E_q(z|x) [log p(x|z)] − KL(q(z|x) ‖ p(z))        Kingma & Welling (2014), eq. 3
    β-VAE loss   = distortion + β KL                                Higgins et al. (2017), eq. 4
    free bits    : KL becomes Σ_j max(λ, mean over the batch of KL_j)   Kingma et al. (2016), eq. 15
    capacity     : distortion + γ |KL − C|                          Burgess et al. (2018), eq. 8

At β = 1 and λ = 0 the loss is −ELBO up to the constant of the likelihood. The groups j are latent
dimensions, or whole stochastic layers. The capacity C rises linearly from 0 during the training
(https://arxiv.org/abs/1804.03599).
"""

from typing import final

from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.model.inference import Inference
from vae_cli.model.objectives.objective import Context, Loss, Objective
from vae_cli.model.reductions import average_samples, sum_levels


@final
class NegativeELBO(Objective):
    """The negative evidence lower bound.

    Args:
        beta: weight of the KL.
        free_bits: λ, in nats per group; 0 turns free bits off.
        by_level: whether a group is a whole level; otherwise it is a latent dimension.
    """

    def __init__(
        self, beta: float = 1.0, free_bits: float = 0.0, *, by_level: bool = False
    ) -> None:
        super().__init__()
        self.beta, self.free_bits, self.by_level = beta, free_bits, by_level

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        distortion = average_samples(inference.likelihood.distortion(batch.x))
        kls = [level.kl_by_group() for level in inference.levels]
        weighted = self.beta * context.warmup * sum_levels([self._total(kl, context) for kl in kls])
        kl = sum_levels([kl.detach().sum(-1) for kl in kls])
        loss = (distortion.sum() + weighted) / len(batch)
        return Loss(
            losses={"model": inference.add_penalty(loss)},
            terms={"kl": kl, inference.likelihood.distortion_name: distortion.detach()},
            items=len(batch),
        )

    def _total(self, kl: Tensor, context: Context) -> Tensor:
        """The KL of a level by group, summed over the items, with free bits if there are any."""
        if self.free_bits == 0:
            return kl.sum()
        groups = context.whole(kl.sum(-1, keepdim=True) if self.by_level else kl).mean(0)
        return groups.clamp(min=self.free_bits).sum() * len(kl)


@final
class Capacity(Objective):
    """The distortion, and how far the mean KL of the batch is from the capacity.

    Args:
        capacity: C at the end of the warm-up, in nats.
        gamma: weight of the distance.
    """

    def __init__(self, capacity: float, gamma: float) -> None:
        super().__init__()
        self.capacity, self.gamma = capacity, gamma

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        distortion = average_samples(inference.likelihood.distortion(batch.x))
        kl = inference.kl()
        distance = (context.whole(kl).mean() - self.capacity * context.warmup).abs()
        loss = distortion.mean() + self.gamma * distance
        return Loss(
            losses={"model": inference.add_penalty(loss)},
            terms={"kl": kl.detach(), inference.likelihood.distortion_name: distortion.detach()},
            items=len(batch),
        )
