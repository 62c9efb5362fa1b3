"""InfoVAE: a KL with another weight, and a distance between the aggregated posterior and the prior.

    loss = −log p(x|z) + (1 − α) KL(q(z|x) ‖ p(z)) + (α + λ − 1) MMD(q(z) ‖ p(z))

Zhao, Song & Ermon (2019, https://arxiv.org/abs/1706.02262), eq. 8, with the maximum mean
discrepancy (their eq. 10) and their Gaussian kernel. With α = 1 the KL is gone, which is the
Wasserstein autoencoder of Tolstikhin et al. (2018) with MMD.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from vae_cli.model.inference import Inference
from vae_cli.model.objectives.objective import AFTER_WARMUP, Context, Loss, Objective
from vae_cli.model.priors import Prior


@final
@dataclass(frozen=True)
class InfoVAE(Objective):
    """The loss of InfoVAE; for one stochastic layer.

    Attributes:
        alpha: α; 0 keeps the whole KL, and 1 removes it.
        scale: λ.
    """

    terms = ("kl", "mmd")
    alpha: float
    scale: float

    def __call__(self, x: Tensor, inference: Inference, context: Context = AFTER_WARMUP) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1], or of rows `(B, D)`."""
        (level,) = inference.levels
        assert isinstance(level.prior, Prior)
        z = level.z[0]
        discrepancy = squared_mmd(z, level.prior.sample(len(z), context.generator))
        distortion, kl = inference.likelihood.distortion(x)[0], inference.kl()
        weight = self.alpha + self.scale - 1
        loss = distortion.mean() + context.warmup * (1 - self.alpha) * kl.mean()
        return Loss(
            loss + weight * discrepancy,
            {
                "kl": kl.detach(),
                "mmd": discrepancy.detach().expand(len(x)),
                inference.likelihood.figure: distortion.detach(),
            },
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
