"""A KL that is held at a capacity which rises: Burgess et al. (2018), eq. 8.

    loss = distortion + γ |KL − C|

The paper raises C linearly from 0 during the training (https://arxiv.org/abs/1804.03599).
"""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from vae_cli.model.inference import Inference, average_samples
from vae_cli.model.objectives.objective import AFTER_WARMUP, Context, Loss, Objective


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
