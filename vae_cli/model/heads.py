"""The ends of encoders: what a posterior is made of."""

from abc import ABC, abstractmethod
from math import prod
from typing import final

from torch import Tensor, nn

from vae_cli.model.posterior import DiagonalNormal, Posterior
from vae_cli.model.priors.prior import Prior


class Head(nn.Module, ABC):
    """The end of an encoder: makes the posterior of the values that its last layer returns.

    What a posterior needs besides these values belongs to the head: a codebook, or the layers of a
    flow.

    Attributes:
        event_shape: of the latents of one item.
        outputs: the values of the last layer that it takes: for each item if the latents are
            vectors, and in each place if they are images.

    Example:
        >>> import torch
        >>> head = NormalHead(2)
        >>> head.outputs, head(torch.zeros(8, 4)).mean.shape
        (4, torch.Size([8, 2]))
    """

    event_shape: tuple[int, ...]
    outputs: int

    @property
    def latent_dim(self) -> int:
        """The number of all latent dimensions of an item."""
        return prod(self.event_shape)

    @abstractmethod
    def forward(self, parameters: Tensor) -> Posterior:
        """The posterior for values `(..., outputs)`, or `(..., outputs, H, W)`."""

    def absorb(self, statistics: dict[str, Tensor], is_valid: Tensor) -> None:
        """Learn what is not learned by gradients, in place; see `LatentModel.absorb`.

        Raises:
            NotImplementedError: there is nothing of this kind.
        """
        raise NotImplementedError(f"{type(self).__name__} learns by gradients alone")

    def uniform(self) -> Prior:
        """The uniform prior of what the latents may be, if they are limited.

        Raises:
            NotImplementedError: they are not.
        """
        raise NotImplementedError(f"{type(self).__name__} has latents without limits")


@final
class ClassHead(Head):
    """The end of an encoder that is a classifier: a score for each class, and no latents.

    Args:
        classes: their number.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.event_shape, self.outputs = (classes,), classes

    def forward(self, parameters: Tensor) -> Tensor:  # type: ignore[override]  # no posterior of z
        """Log q(y|x) of each class up to a constant, float32 `(..., classes)`."""
        return parameters.float()


Limits = tuple[float, float]  # the least and the largest log-variance of a posterior
NARROW: Limits = (-6.0, 2.0)  # as in the code of Norouzi et al. (2020)
WIDE: Limits = (-14.0, 8.0)  # no posterior that has learned something comes there


@final
class NormalHead(Head):
    """Means and log-variances, side by side.

    Args:
        event_shape: of the latents of one item: D, or C, H and W.
        limits: between which the log-variance is held; None if there are none. Without limits, one
            item that is far from all others can have a variance that is infinite, and its loss ends
            the training.
    """

    def __init__(self, *event_shape: int, limits: Limits | None = None) -> None:
        super().__init__()
        self.event_shape, self.outputs = event_shape, 2 * event_shape[0]
        self.limits = limits

    def forward(self, parameters: Tensor) -> DiagonalNormal:
        """Normal distributions in float32, whatever the precision of the network is."""
        ndim = len(self.event_shape)
        mean, log_variance = parameters.float().chunk(2, dim=-ndim)
        if self.limits is not None:
            log_variance = log_variance.clamp(*self.limits)
        return DiagonalNormal(mean, log_variance, ndim)
