"""What a likelihood p(x|z) is: a module that makes a distribution from the outputs of a decoder.

    −log p(x|z) = distortion(x) + constant        in nats, summed over the values of an item

A decoder returns raw outputs, which are not limited. The likelihood says how many of them a pixel
or a column needs, and what distribution they are the parameters of: the squared error of an
autoencoder is the normal distribution with variance ½, and a cross-entropy is the Bernoulli one.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from torch import Tensor, nn

from vae_cli.model.reductions import Whole
from vae_cli.noise import Noise


class Distribution(ABC):
    """A distribution over items, given their latents.

    Items are images `(B, C, H, W)` with pixels in [0, 1], or encoded rows `(B, W)`. The
    parameters may have more axes in front, for example `(K, B, ...)` for K samples of the latents.

    Attributes:
        distortion_name: the name of `distortion` in tables, in lower case.
        mean: the mean of the distribution, in the shape of the items and with the axes in front.

    Example:
        >>> import torch
        >>> from vae_cli.model import SquaredError
        >>> likelihood = SquaredError()(torch.zeros(3, 2, 1, 4, 4))  # 3 samples of 2 items
        >>> x = torch.full((2, 1, 4, 4), 0.25)
        >>> likelihood.distortion(x).shape, likelihood.distortion(x)[0]
        (torch.Size([3, 2]), tensor([1., 1.]))
        >>> likelihood.log_prob(x).equal(-(likelihood.distortion(x) + likelihood.constant))
        True
    """

    distortion_name: str
    mean: Tensor

    @abstractmethod
    def distortion(self, x: Tensor) -> Tensor:
        """−log p(x|z) in nats, without `constant`, summed over an item: `(K, B)` or `(B,)`."""

    @property
    @abstractmethod
    def constant(self) -> float | Tensor:
        """The part of −log p(x|z) that no parameter changes, in nats per item."""

    @abstractmethod
    def sample(self, noise: Noise) -> Tensor:
        """One sample, in the shape of the mean."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log p(x|z) in nats, summed over an item: `(K, B)` or `(B,)`."""
        return -(self.distortion(x) + self.constant)

    def of_part(self, whole: Whole) -> Self:  # noqa: ARG002  most are the same for every batch
        """The same distribution of items that are a part of a batch.

        One that estimates a parameter from the items of a batch estimates it from the whole one.

        Args:
            whole: makes of values `(B_r, ...)` of the part those `(B, ...)` of the whole batch.
        """
        return self


class Likelihood(nn.Module, ABC):
    """Makes a distribution from the raw outputs of a decoder.

    Attributes:
        outputs_per_value: how many raw outputs a pixel needs. A decoder returns them as so many
            times the channels of an image.
        distortion_name: the name of `distortion` of its distributions.
        is_discrete: whether `log_prob` is of pixels with 256 values, so that bits per dimension are
            defined.
    """

    outputs_per_value: int = 1
    distortion_name: str = "nll"
    is_discrete: ClassVar[bool] = False

    @abstractmethod
    def forward(self, outputs: Tensor) -> Distribution:
        """The distribution for raw outputs `(..., C × outputs_per_value, H, W)`."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the raw outputs for one item of a shape, as a network takes it."""
        return (shape[0] * self.outputs_per_value, *shape[1:])

    @abstractmethod
    def outputs_for(self, mean: Tensor) -> Tensor:
        """Raw outputs whose distribution has this mean, to initialize the bias of a decoder.

        Args:
            mean: `(C, H, W)` or `(D,)`; the average of the training set.
        """
