"""Objectives whose critic compares distributions that there are only samples of.

A critic c is a network that tells samples of two distributions a and b apart, by the logit of the
probability that a latent z comes from a:

    L_critic = −½ E_a log σ(c(z)) − ½ E_b log (1 − σ(c(z))),      c(z) = log a(z)/b(z) at its least

so that its output estimates the ratio of the two densities (Nguyen, Wainwright & Jordan, 2010;
Sugiyama, Suzuki & Kanamori, 2012). It learns beside the model, one step for each step of the model.

FactorVAE     a = q(z), b = Π_j q(z_j):  loss = −ELBO + γ E_q(z) c(z)
              Kim & Mnih (2018, eq. 2 and 3, https://arxiv.org/abs/1802.05983). E c(z) estimates the
              total correlation KL(q(z) ‖ Π_j q(z_j)).
Adversarial   a = p(z), b = q(z):  loss = −E log p(x|z) + β KL(q(z|x) ‖ p(z)) − λ E_q(z) log σ(c(z))
              With β = 0, this is the adversarial autoencoder of Makhzani et al. (2016,
              https://arxiv.org/abs/1511.05644), and the WAE-GAN of Tolstikhin et al. (2018,
              algorithm 1, https://arxiv.org/abs/1711.01558), which is the same with a weight.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from vae_cli.data.batch import Batch
from vae_cli.model.inference import Inference
from vae_cli.model.objectives.objective import Context, Learning, Loss, Objective
from vae_cli.model.reductions import average_samples

SLOPE = 0.2  # of the leaky ReLU below 0


@final
class Critic(nn.Module):
    """Fully connected layers with leaky ReLU from latents to one logit.

    Args:
        latent_dim: D.
        hidden: widths of the hidden layers.
    """

    def __init__(self, latent_dim: int, hidden: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise([latent_dim, *hidden]):
            layers += [nn.Linear(width_in, width_out), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))

    def forward(self, z: Tensor) -> Tensor:
        """The logits `(B,)` of latents `(B, *event)` with D values."""
        logits: Tensor = self.layers(z.flatten(1)).squeeze(-1)
        return logits


def tell_apart(first: Tensor, second: Tensor) -> Tensor:
    """The loss of a critic from its logits for samples of a and of b: a scalar, log 2 if a = b.

    This is the cross-entropy of its answers, half for each side (Goodfellow et al., 2014, eq. 1).
    """
    return 0.5 * (softplus(-first).mean() + softplus(second).mean())


@final
class FactorVAE(Objective):
    """The negative ELBO, and the total correlation that the critic estimates; for one level.

    Args:
        critic: of the latents.
        gamma: γ.
        rate: the learning rate of the critic.
    """

    terms = ("kl", "tc")

    def __init__(self, critic: Critic, gamma: float, rate: float) -> None:
        super().__init__()
        self.critic, self.gamma, self.rate = critic, gamma, rate

    def learning(self) -> dict[str, Learning]:
        """Adam as in the appendix A of Kim & Mnih (2018)."""
        return {"critic": Learning(self.rate, betas=(0.5, 0.9))}

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The losses of a batch.

        The model's gradient by the latents goes through the critic, and the critic's own stops at
        its parameters, so that one pass through the critic is enough for both.
        """
        (level,) = inference.levels
        z = level.z[0]
        logits = self.critic(z)
        shuffled = self.critic(shuffle_dimensions(z.detach(), context))
        distortion = average_samples(inference.likelihood.distortion(batch.x))
        kl = inference.kl()
        loss = distortion.mean() + context.warmup * (kl.mean() + self.gamma * logits.mean())
        terms = {"kl": kl, "tc": logits, inference.likelihood.distortion_name: distortion}
        return Loss(
            losses={"model": inference.add_penalty(loss), "critic": tell_apart(logits, shuffled)},
            terms={name: term.detach() for name, term in terms.items()},
            items=len(batch),
        )


def shuffle_dimensions(z: Tensor, context: Context) -> Tensor:
    """Samples of Π_j q(z_j): each dimension in an order of its own (Kim & Mnih, 2018, algorithm 1).

    Their algorithm 2 shuffles a second batch. This is the same batch, as in the code of Locatello
    et al. (2019), which saves a pass of other items through the encoder: of two dimensions of a
    result, only one in B still comes from one item.

    Args:
        z: the latents `(B_r, *event)` of these items; those of the whole batch are shuffled.
        context: of the batch.

    Returns:
        `(B_r, *event)`.
    """
    keys = context.noise.uniform_like(z)
    values, keys = context.whole(torch.stack([z, keys], 1)).unbind(1)
    return context.own(values.gather(0, keys.argsort(0)))


@final
class Adversarial(Objective):
    """The distortion, and what the critic still finds between the latents and the prior.

    For one level. Learned priors are learned by the KL alone.

    Args:
        critic: of the latents.
        weight: λ.
        kl_weight: β.
        rate: the learning rate of the critic.
    """

    terms = ("kl", "adversarial")

    def __init__(self, critic: Critic, weight: float, kl_weight: float, rate: float) -> None:
        super().__init__()
        self.critic, self.weight, self.kl_weight, self.rate = critic, weight, kl_weight, rate

    def learning(self) -> dict[str, Learning]:
        """Adam as in the appendix C of Tolstikhin et al. (2018)."""
        return {"critic": Learning(self.rate, betas=(0.5, 0.999))}

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The losses of a batch."""
        (level,) = inference.levels
        z = level.z[0]
        logits = self.critic(z)
        samples = self.critic(level.sample_prior(context.noise).detach())
        surprise = softplus(-logits)
        distortion = average_samples(inference.likelihood.distortion(batch.x))
        kl = inference.kl()
        loss = distortion.mean() + context.warmup * self.kl_weight * kl.mean()
        loss = loss + self.weight * surprise.mean()
        terms = {
            "kl": kl,
            "adversarial": surprise,
            inference.likelihood.distortion_name: distortion,
        }
        return Loss(
            losses={"model": inference.add_penalty(loss), "critic": tell_apart(samples, logits)},
            terms={name: term.detach() for name, term in terms.items()},
            items=len(batch),
        )
