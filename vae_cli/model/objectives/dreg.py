"""The doubly reparameterized gradient of IWAE: Tucker et al. (2019), eq. 8.

    ∇_φ IWAE_K = E Σ_k  w̃_k²  ∂ log w_k / ∂z_k  ∂z_k / ∂φ,        w̃_k = w_k / Σ_j w_j

It has the expectation of IWAE's gradient with respect to the encoder, and a variance that does not
grow with K (https://arxiv.org/abs/1810.04152). The decoder has the usual gradient, weighted by w̃_k.
"""

import math
from dataclasses import dataclass, replace
from typing import final

from torch import Tensor

from vae_cli.model.inference import Inference
from vae_cli.model.objectives.iwae import weigh
from vae_cli.model.objectives.objective import AFTER_WARMUP, Context, Loss, Objective


@final
@dataclass(frozen=True)
class NegativeDReG(Objective):
    """The loss of IWAE, with the doubly reparameterized gradient; for one stochastic layer.

    Attributes:
        samples: K.
    """

    samples: int

    def __call__(self, x: Tensor, inference: Inference, context: Context = AFTER_WARMUP) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1], or of rows `(B, D)`."""
        (level,) = inference.levels
        fixed = replace(inference, levels=(replace(level, posterior=level.posterior.detach()),))
        log_weights, terms = weigh(x, fixed, context)
        normalized = log_weights.detach().softmax(0)
        if level.z.requires_grad:
            # The gradient arrives here with one factor of the weights, and leaves with two.
            level.z.register_hook(lambda gradient: gradient * normalized[..., None])
        surrogate = (normalized * log_weights).sum(0).mean()
        bound = log_weights.detach().logsumexp(0).mean() - math.log(self.samples)
        return Loss(-(bound + surrogate - surrogate.detach()), terms)
