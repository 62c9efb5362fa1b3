"""Importance-weighted bounds: IWAE, averages of several of them, and one with other gradients.

    log w_k  = log p(x, z_k) − log q(z_k|x)
    IWAE_K   = E log 1/K Σ_k w_k                         Burda, Grosse & Salakhutdinov (2016), eq. 8
    MIWAE    = 1/M Σ_m IWAE_K of M groups of samples     Rainforth et al. (2018), eq. 8

IWAE_1 is the ELBO, and the bound rises with K to log p(x). More samples K make a tighter bound but
a noisier gradient for the encoder; more groups M reduce that noise.

DReG is IWAE with the doubly reparameterized gradient (Tucker et al., 2019, eq. 8):

    ∇_φ IWAE_K = E Σ_k  w̃_k²  ∂ log w_k / ∂z_k  ∂z_k / ∂φ,        w̃_k = w_k / Σ_j w_j

It has the expectation of IWAE's gradient with respect to the encoder, and a variance that does not
grow with K (https://arxiv.org/abs/1810.04152). The decoder has the usual gradient, weighted by w̃_k.
"""

import math
from dataclasses import replace
from typing import final

from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.model.inference import Inference
from vae_cli.model.objectives.objective import Context, Loss, Objective
from vae_cli.model.posterior import require_normal


@final
class NegativeIWAE(Objective):
    """The negative importance-weighted bound.

    Args:
        importance_samples: K.
        groups: M.
    """

    def __init__(self, importance_samples: int, groups: int = 1) -> None:
        super().__init__()
        self.importance_samples, self.groups = importance_samples, groups
        self.samples = groups * importance_samples

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        log_weights, terms = weigh(batch.x, inference, context)
        groups = log_weights.unflatten(0, (self.groups, self.importance_samples))
        bound = groups.logsumexp(1).mean(0) - math.log(self.importance_samples)
        return Loss({"model": inference.add_penalty(-bound.mean())}, terms, len(batch))


def weigh(x: Tensor, inference: Inference, context: Context) -> tuple[Tensor, dict[str, Tensor]]:
    """The logarithms of the importance weights `(K, B)`, and the terms they consist of.

    During a warm-up the ratio of the prior to the posterior has a smaller weight.
    """
    likelihood = inference.likelihood
    distortion, log_ratio = likelihood.distortion(x), inference.log_ratio()
    log_weights = context.warmup * log_ratio - distortion - likelihood.constant
    kl = -log_ratio.detach().mean(0)
    return log_weights, {"kl": kl, likelihood.distortion_name: distortion.detach().mean(0)}


@final
class NegativeDReG(Objective):
    """The loss of IWAE, with the doubly reparameterized gradient; for one stochastic layer.

    Args:
        samples: K.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        (level,) = inference.levels
        posterior = require_normal(level.posterior).detach()
        fixed = replace(inference, levels=(replace(level, posterior=posterior),))
        log_weights, terms = weigh(batch.x, fixed, context)
        normalized = log_weights.detach().softmax(0)
        if level.z.requires_grad:
            # The gradient arrives here with one factor of the weights, and leaves with two.
            level.z.register_hook(lambda gradient: gradient * normalized[..., None])
        surrogate = (normalized * log_weights).sum(0).mean()
        bound = log_weights.detach().logsumexp(0).mean() - math.log(self.samples)
        return Loss({"model": -(bound + surrogate - surrogate.detach())}, terms, len(batch))
