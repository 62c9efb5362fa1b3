"""What an objective is.

Losses are minimized, in nats: sums over an item, means over a batch. Every objective reports the KL
and the distortion of each item among its terms, so that runs with different objectives can be
compared. The sign flips only in the objectives.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from vae_cli.model.inference import Inference


@dataclass(frozen=True)
class Context:
    """What an objective is given besides a batch and its inference.

    Attributes:
        warmup: a scalar from 0 to 1 that rises during the training; 1 outside of it. In a training
            step it is a tensor on the device.
        data_size: the number of items in the training set.
        generator: the source of random numbers.
    """

    warmup: Tensor | float = 1.0
    data_size: int = 1
    generator: Generator | None = None


AFTER_WARMUP = Context()


@dataclass(frozen=True)
class Loss:
    """The loss of one batch.

    Attributes:
        loss: scalar, the mean over the batch.
        terms: what the loss consists of, in nats: `(B,)` for each name, detached. `kl` is the KL of
            all latents, and the name of the likelihood's figure is its distortion.
    """

    loss: Tensor
    terms: dict[str, Tensor]


class Objective(ABC):
    """Computes the loss of a batch from its items and their inference.

    Attributes:
        samples: the number of posterior samples per item that the inference must have.
        terms: the names of the terms of its losses, without that of the likelihood's figure.
    """

    samples: int = 1
    terms: ClassVar[tuple[str, ...]] = ("kl",)

    @abstractmethod
    def __call__(self, x: Tensor, inference: Inference, context: Context = AFTER_WARMUP) -> Loss:
        """The loss of images `(B, C, H, W)` with pixels in [0, 1], or of rows `(B, D)`."""
