"""What a prior p(z) is, and the standard normal one."""

from abc import ABC, abstractmethod
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.posterior import LatentPrior, UnitNormal


class Prior(nn.Module, ABC):
    """A module that makes the distribution p(z) which the KL term pulls the posteriors towards.

    It is called once in every pass through a model, and what it returns is used for the whole pass:
    a prior that has to compute something, such as the posteriors of pseudo-inputs, does it once,
    in the precision of the pass.

    Example:
        >>> import torch
        >>> from vae_cli.model import StandardNormal
        >>> from vae_cli.noise import Noise
        >>> prior = StandardNormal(20)()
        >>> z = prior.sample(4, Noise(0))
        >>> z.shape, prior.log_prob(z).shape
        (torch.Size([4, 20]), torch.Size([4]))

    Attributes:
        event_shape: of the latents of one item.
    """

    event_shape: tuple[int, ...]

    @property
    def latent_dim(self) -> int:
        """The number of all latent dimensions of an item."""
        return prod(self.event_shape)

    @abstractmethod
    def forward(self, y: Tensor | None = None) -> LatentPrior:
        """P(z), or p(z|y).

        Args:
            y: what the model is conditioned on, `(B,)` or `(B, C)`; None if it is not.
        """


@final
class StandardNormal(Prior):
    """p(z) = N(0, I).

    Args:
        event_shape: of the latents of one item: D, or C, H and W.
    """

    mean: Tensor

    def __init__(self, *event_shape: int) -> None:
        super().__init__()
        self.event_shape = event_shape
        self.register_buffer("mean", torch.zeros(event_shape))

    def forward(self, y: Tensor | None = None) -> UnitNormal:  # noqa: ARG002
        """N(0, I)."""
        return UnitNormal(self.mean)
