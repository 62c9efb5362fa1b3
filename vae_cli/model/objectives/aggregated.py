"""Objectives with the aggregated posterior q(z) = 1/N Σ_n q(z|x_n): β-TC-VAE, InfoVAE, DIP-VAE.

The β-TC-VAE divides the KL into three terms (Chen, Li, Grosse & Duvenaud, 2018, eq. 2,
https://arxiv.org/abs/1802.04942) and weights only the total correlation by β:

    E KL(q(z|x) ‖ p(z)) =   I_q(z; x)                   index-code mutual information
                          + KL(q(z) ‖ Π_j q(z_j))       total correlation
                          + Σ_j KL(q(z_j) ‖ p(z_j))     dimension-wise KL

q(z) is estimated from the batch by stratified sampling (appendix C.2), which needs the size of the
data set.

InfoVAE gives the KL another weight, and adds a distance between q(z) and the prior:

    loss = −log p(x|z) + (1 − α) KL(q(z|x) ‖ p(z)) + (α + λ − 1) MMD(q(z) ‖ p(z))

Zhao, Song & Ermon (2019, https://arxiv.org/abs/1706.02262), eq. 8, with the maximum mean
discrepancy (their eq. 10) and their Gaussian kernel. With α = 1 the KL is gone, which is the
Wasserstein autoencoder of Tolstikhin et al. (2018) with MMD.

DIP-VAE holds the covariance C of the latents at that of N(0, I) (Kumar, Sattigeri & Balakrishnan,
2018, eq. 6 and 7, https://arxiv.org/abs/1711.00848):

    loss = −ELBO + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)²

    DIP-VAE-I    C = Cov[μ(x)]                      the covariance of the posterior means
    DIP-VAE-II   C = Cov[μ(x)] + E diag σ²(x)       that of the samples, Cov_q(z)[z]
"""

from typing import final

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.model.inference import Inference
from vae_cli.model.objectives.objective import Context, Loss, Objective
from vae_cli.model.posterior import DiagonalNormal, require_normal
from vae_cli.model.reductions import log_sum_exp


@final
class TotalCorrelation(Objective):
    """The negative ELBO whose total correlation is weighted by `beta`; for one stochastic layer."""

    terms = ("kl", "mi", "tc", "dwkl")

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        (level,) = inference.levels
        posterior, z = require_normal(level.posterior), level.z[0]
        everyone = DiagonalNormal(
            context.whole(posterior.mean), context.whole(posterior.log_variance)
        )
        weights = context.own(stratified_weights(len(everyone.mean), context.data_size, z.device))
        log_joint, log_marginals = aggregated_log_prob(everyone, z, weights)
        information = posterior.log_prob(z) - log_joint
        correlation = log_joint - log_marginals
        by_dim = log_marginals - level.prior.log_prob(z)
        distortion = inference.likelihood.distortion(batch.x)[0]
        kl = information + self.beta * correlation + by_dim
        terms = {
            "kl": information + correlation + by_dim,
            "mi": information,
            "tc": correlation,
            "dwkl": by_dim,
            inference.likelihood.distortion_name: distortion,
        }
        return Loss(
            losses={"model": (distortion + context.warmup * kl).mean()},
            terms={name: term.detach() for name, term in terms.items()},
            items=len(batch),
        )


def aggregated_log_prob(
    posterior: DiagonalNormal, z: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Estimates of log q(z) and of log Π_j q(z_j) from the posteriors of a batch.

    Args:
        posterior: parameters `(B, D)`.
        z: one sample of some of the posteriors, `(N, D)`.
        weights: how much each posterior counts for each sample, `(N, B)`.

    Returns:
        Two tensors `(N,)`, in nats.
    """
    each = DiagonalNormal(posterior.mean[None], posterior.log_variance[None])
    log_probs = each.log_prob_by_dim(z[:, None])  # (N, B, D): sample i under posterior j
    log_weights = weights.log()
    joint = log_sum_exp(log_probs.sum(-1) + log_weights, 1)
    marginals = (log_probs + log_weights[..., None]).logsumexp(1)
    return joint, marginals.sum(-1)


def stratified_weights(batch: int, data_size: int, device: torch.device | None = None) -> Tensor:
    """How much posterior j counts for the sample of item i, `(batch, batch)`; rows sum to 1.

    With M = batch − 1 other items, the item itself has the weight 1/N that it has in the data set,
    the next item has (N − M) / (N M), and each of the others has 1/M (appendix C.2).
    """
    if batch == 1:
        return torch.ones(1, 1, device=device)
    others, size = batch - 1, max(data_size, batch)
    itself = torch.eye(batch, device=device)
    following = itself.roll(1, 1)
    rest = 1 - itself - following
    return itself / size + following * (size - others) / (size * others) + rest / others


@final
class InfoVAE(Objective):
    """The loss of InfoVAE; for one stochastic layer.

    Args:
        alpha: α; 0 keeps the whole KL, and 1 removes it.
        scale: λ.
    """

    terms = ("kl", "mmd")

    def __init__(self, alpha: float, scale: float) -> None:
        super().__init__()
        self.alpha, self.scale = alpha, scale

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        (level,) = inference.levels
        z = level.z[0]
        samples = level.sample_prior(context.noise)
        discrepancy = squared_mmd(context.whole(z), context.whole(samples))
        distortion, kl = inference.likelihood.distortion(batch.x)[0], inference.kl()
        weight = self.alpha + self.scale - 1
        loss = distortion.mean() + context.warmup * (1 - self.alpha) * kl.mean()
        return Loss(
            losses={"model": inference.add_penalty(loss + weight * discrepancy)},
            terms={
                "kl": kl.detach(),
                "mmd": discrepancy.detach(),
                inference.likelihood.distortion_name: distortion.detach(),
            },
            items=len(batch),
        )


def squared_mmd(first: Tensor, second: Tensor) -> Tensor:
    """The squared maximum mean discrepancy of two sets of latents `(N, D)`: a scalar.

    This is the biased estimate, which is never negative (Gretton et al., 2012, eq. 5).
    """
    within = _mean_kernel(first, first) + _mean_kernel(second, second)
    return within - 2 * _mean_kernel(first, second)


def _mean_kernel(first: Tensor, second: Tensor) -> Tensor:
    """The mean of exp(−‖a − b‖² / D) over all pairs; the bandwidth is that of the authors' code."""
    products = first @ second.T
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * products
    return torch.exp(-squares / first.shape[1]).mean()


@final
class DIPVAE(Objective):
    """The negative ELBO, and how far the covariance of the latents is from the identity.

    For one level with normal posteriors.

    Args:
        of_samples: whether the covariance is that of the samples (DIP-VAE-II); otherwise it is that
            of the means (DIP-VAE-I).
        off_diagonal: λ_od.
        diagonal: λ_d.
    """

    terms = ("kl", "dip")

    def __init__(self, *, of_samples: bool, off_diagonal: float, diagonal: float) -> None:
        super().__init__()
        self.of_samples, self.off_diagonal, self.diagonal = of_samples, off_diagonal, diagonal

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        (level,) = inference.levels
        penalty = self.penalize(require_normal(level.posterior), context)
        distortion, kl = inference.likelihood.distortion(batch.x)[0], inference.kl()
        return Loss(
            losses={"model": distortion.mean() + context.warmup * (kl.mean() + penalty)},
            terms={
                "kl": kl.detach(),
                "dip": penalty.detach(),
                inference.likelihood.distortion_name: distortion.detach(),
            },
            items=len(batch),
        )

    def penalize(self, posterior: DiagonalNormal, context: Context) -> Tensor:
        """The weighted distance of the covariance of a batch from the identity: a scalar."""
        covariance = covariance_of(context.whole(posterior.mean))
        if self.of_samples:
            variance = context.whole(posterior.log_variance).exp().mean(0)
            covariance = covariance + variance.diag_embed()
        variances = covariance.diagonal()
        off_diagonal = (covariance**2).sum() - (variances**2).sum()
        distance: Tensor = ((variances - 1) ** 2).sum()
        return self.off_diagonal * off_diagonal + self.diagonal * distance


def covariance_of(values: Tensor) -> Tensor:
    """The covariance of values `(B, D)` of which each has the probability 1/B: `(D, D)`."""
    centred = values - values.mean(0)
    covariance: Tensor = centred.T @ centred / len(values)
    return covariance
