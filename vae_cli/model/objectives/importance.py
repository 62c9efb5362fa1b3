"""Importance-weighted bounds: IWAE, what is made of several of them, and other gradients of it.

    log w_k  = log p(x, z_k) − log q(z_k|x)
    IWAE_K   = E log 1/K Σ_k w_k                         Burda, Grosse & Salakhutdinov (2016), eq. 8
    MIWAE    = 1/M Σ_m IWAE_K of M groups of samples     Rainforth et al. (2018), eq. 8
    CIWAE    = β E 1/K Σ_k log w_k + (1 − β) IWAE_K      the same, sec. 5

IWAE_1 is the ELBO, and the bound rises with K to log p(x). More samples K make a tighter bound but
a noisier gradient for the encoder; more groups M, or a larger share β of the ELBO, reduce that
noise. PIWAE gives each network the bound that suits it (the same, sec. 5): the decoder θ, for which
a tight bound is best, and the encoder φ have gradients of two bounds of the same M K samples,

    ∇_θ IWAE_MK = E Σ_k  a_k  ∇_θ log w_k,        a = softmax of log w over all samples
    ∇_φ MIWAE   = E Σ_k  b_k  ∇_φ log w_k,        b = 1/M softmax of log w over each group

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
class NegativeCIWAE(Objective):
    """The negative convex combination of the ELBO and the importance-weighted bound.

    Args:
        samples: K.
        elbo_share: β, from 0, which is IWAE, to 1, which is the ELBO of K samples.
    """

    def __init__(self, samples: int, elbo_share: float) -> None:
        super().__init__()
        self.samples, self.elbo_share = samples, elbo_share

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        log_weights, terms = weigh(batch.x, inference, context)
        tight = log_weights.logsumexp(0) - math.log(self.samples)
        bound = tight.lerp(log_weights.mean(0), self.elbo_share)
        return Loss({"model": inference.add_penalty(-bound.mean())}, terms, len(batch))


@final
class NegativePIWAE(Objective):
    """The loss of IWAE, with its gradient for the decoder and that of MIWAE for the encoder.

    The prior and the likelihood learn with the decoder. It is for one stochastic layer.

    Args:
        importance_samples: K.
        groups: M.
    """

    def __init__(self, importance_samples: int, groups: int) -> None:
        super().__init__()
        self.importance_samples, self.groups = importance_samples, groups
        self.samples = groups * importance_samples

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        (level,) = inference.levels
        log_weights, terms = weigh(batch.x, inference, context)
        decoder, encoder = self.weights(log_weights.detach())
        # All terms have the weights of the decoder. On its way through the samples, a gradient gets
        # those of the encoder, and so does what the density q(z|x) has of its own parameters.
        scale_gradient(level.z, encoder / decoder)
        log_q = context.warmup * replace(level, z=level.z.detach()).log_prob()
        surrogate = (decoder * log_weights + (decoder - encoder) * log_q).sum(0).mean()
        bound = log_weights.detach().logsumexp(0).mean() - math.log(self.samples)
        loss = inference.add_penalty(-(bound + surrogate - surrogate.detach()))
        return Loss({"model": loss}, terms, len(batch))

    def weights(self, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """The weights a of the decoder and b of the encoder, `(M K, B)` each."""
        groups = log_weights.unflatten(0, (self.groups, self.importance_samples))
        each = groups.softmax(1).flatten(0, 1) / self.groups
        return log_weights.softmax(0).clamp(min=MIN_WEIGHT), each.clamp(min=MIN_WEIGHT)


MIN_WEIGHT = 1e-9  # of a sample; in float32, less of it gets lost in the sum over the samples


def scale_gradient(z: Tensor, factors: Tensor) -> None:
    """Let the gradient by samples `(K, B, *event)` arrive multiplied by `factors` `(K, B)`."""
    if z.requires_grad:
        shape = (*factors.shape, *[1] * (z.ndim - factors.ndim))
        z.register_hook(lambda gradient: gradient * factors.view(shape))


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
        posterior = require_normal(level.posterior).apply(Tensor.detach)
        fixed = replace(inference, levels=(replace(level, posterior=posterior),))
        log_weights, terms = weigh(batch.x, fixed, context)
        normalized = log_weights.detach().softmax(0)
        # The gradient arrives here with one factor of the weights, and leaves with two.
        scale_gradient(level.z, normalized)
        surrogate = (normalized * log_weights).sum(0).mean()
        bound = log_weights.detach().logsumexp(0).mean() - math.log(self.samples)
        return Loss({"model": -(bound + surrogate - surrogate.detach())}, terms, len(batch))
