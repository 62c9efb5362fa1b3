"""What is optimised. Losses are minimised, in nats: sums over an image, means over a batch.

    ELBO(x)      = E_q(z|x) [log p(x|z)] − KL(q(z|x) ‖ p(z))        Kingma & Welling (2014), eq. 3
    β-VAE loss   = distortion + β KL                                Higgins et al. (2017), eq. 4

At β = 1 the loss is −ELBO up to the likelihood's constant: here, and only here, the sign flips.
"""

from dataclasses import dataclass
from typing import Protocol, final

from torch import Tensor

from vae_cli.model import Inference


@dataclass(frozen=True)
class Loss:
    """What one batch costs.

    Attributes:
        loss: scalar, the mean over the batch of distortion + β KL.
        distortion: `(B,)`, each image's −log p(x|z) less a constant; the sum of squared errors.
        kl: `(B, D)`, each image's KL by latent dimension, never weighted by β.
    """

    loss: Tensor
    distortion: Tensor
    kl: Tensor


class Objective(Protocol):
    """From images and what was inferred of them to what is minimised."""

    def __call__(self, x: Tensor, inference: Inference) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1]."""


@final
@dataclass(frozen=True)
class ELBO:
    """The evidence lower bound with one posterior sample, its KL weighted by `beta`."""

    beta: float = 1.0

    def __call__(self, x: Tensor, inference: Inference) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1]."""
        distortion = inference.likelihood.distortion(x)
        kl = inference.prior.kl_from(inference.posterior)
        loss = (distortion.sum() + self.beta * kl.sum()) / len(x)
        return Loss(loss, distortion.detach(), kl.detach())
