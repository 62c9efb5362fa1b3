"""Objectives. Losses are minimized, in nats: sums over an item, means over a batch.

    ELBO(x)      = E_q(z|x) [log p(x|z)] − KL(q(z|x) ‖ p(z))        Kingma & Welling (2014), eq. 3
    β-VAE loss   = distortion + β KL                                Higgins et al. (2017), eq. 4

At β = 1 the loss is −ELBO up to the constant of the likelihood. The sign flips only here.
"""

from dataclasses import dataclass
from typing import Protocol, final

from torch import Tensor

from vae_cli.model.vae import Inference


@dataclass(frozen=True)
class Loss:
    """The loss of one batch.

    Attributes:
        loss: scalar, the mean over the batch of distortion + β KL.
        distortion: `(B,)`, −log p(x|z) of each item without its constant: the sum of squared errors
            of an image, or the negative log-likelihood of a row's standardized columns.
        kl: `(B, D)`, the KL of each item by latent dimension, not weighted by β.
    """

    loss: Tensor
    distortion: Tensor
    kl: Tensor


class Objective(Protocol):
    """Computes the loss of a batch from its items and their inference."""

    def __call__(self, x: Tensor, inference: Inference) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1], or of rows `(B, D)`."""


@final
@dataclass(frozen=True)
class NegativeELBO:
    """The negative evidence lower bound with one posterior sample; `beta` weights its KL."""

    beta: float = 1.0

    def __call__(self, x: Tensor, inference: Inference) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1], or of rows `(B, D)`."""
        distortion = inference.likelihood.distortion(x)
        kl = inference.prior.kl_from(inference.posterior)
        loss = (distortion.sum() + self.beta * kl.sum()) / len(x)
        return Loss(loss, distortion.detach(), kl.detach())
