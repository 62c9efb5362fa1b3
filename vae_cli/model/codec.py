"""The one way between the items of a data set and what a network takes.

An item is a picture in bytes, or a row of a table in float64. A network takes float32 of about unit
size. A codec is the map between the two: an invertible function f, fixed before the training,

    x = f(item),        item = f⁻¹(x),        log p(item) = log p(x) + log |det df/d item|

so that a model of encoded items is a model of items in the units of the data (Papamakarios et al.,
2021, eq. 1, https://arxiv.org/abs/1912.02762). The splits of a run encode with it, the model owns
it, and a checkpoint keeps it. The codec of tables is in table_codec.py.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.data.batches import to_unit_interval
from vae_cli.data.streamed import SplitT
from vae_cli.noise import Noise, uniform_by_row


class Codec(nn.Module, ABC):
    """Encodes items for a network, and decodes what a network returns.

    Attributes:
        is_stochastic: whether noise changes what `encode` returns, and `draw` changes anything.
    """

    is_stochastic: bool = False

    @abstractmethod
    def encode(self, items: Tensor, noise: Noise | None = None) -> Tensor:
        """What a network takes for items `(B, ...)` of a data set: float32.

        Args:
            items: images `(B, C, H, W)`, bytes or floats in [0, 1], or rows `(B, D)`.
            noise: the source of what is drawn at random, if the network is to learn from draws of
                the items; None encodes without drawing. An image that is encoded already can be
                encoded again to draw from it.
        """

    @abstractmethod
    def decode(self, x: Tensor) -> Tensor:
        """Items in the units of the data for encoded ones `(..., C, H, W)` or `(..., D)`."""

    @abstractmethod
    def log_abs_det(self, x: Tensor) -> Tensor:
        """Log |det| of the derivative of `encode` in nats, where it does not draw: `(B,)`.

        Added to log p(x), it gives the log-density of the item in the units of the data.

        Args:
            x: encoded items `(B, ...)`.
        """

    def draw(self, x: Tensor, noise: Noise) -> Tensor:  # noqa: ARG002
        """Encoded items as one step of the training is given them: unchanged, or drawn at random.

        It is what `encode` does with noise after it has encoded.
        """
        return x

    def encode_split(self, split: SplitT, *, fixed: bool = True) -> SplitT:
        """A part of a data set whose items are encoded when they are asked for.

        Args:
            split: the part.
            fixed: whether they are drawn once for ever, if they are drawn at all.
        """
        draw = self.draw_by_row if fixed and self.is_stochastic else None
        return replace(split, encode=self.encode, draw=draw)

    def draw_by_row(self, x: Tensor, rows: Tensor) -> Tensor:  # noqa: ARG002
        """Encoded items as every evaluation is given them: unchanged, or drawn once for ever.

        Args:
            x: `(B, ...)`.
            rows: their places in the data set, int64 `(B,)`, which decide the draws.
        """
        return x


@final
class ImageCodec(Codec):
    """Bytes from 0 to 255 as floats in [0, 1], which are the units of images everywhere else.

    If it is stochastic, an image stands for a distribution over black and white ones, in which each
    pixel is white with the probability of its grey value. With noise, one of them is drawn: anew at
    every step of a training, which is the dynamic binarization of Salakhutdinov & Murray (2008).

    Args:
        is_stochastic: whether noise draws black and white images.

    Example:
        >>> import torch
        >>> from vae_cli.noise import Noise
        >>> codec = ImageCodec(is_stochastic=True)
        >>> grey = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
        >>> codec.encode(grey)
        tensor([[[[0.0000, 0.2000, 1.0000]]]])
        >>> codec.encode(grey, Noise(0)).unique()
        tensor([0., 1.])
    """

    def __init__(self, *, is_stochastic: bool = False) -> None:
        super().__init__()
        self.is_stochastic = is_stochastic

    def encode(self, items: Tensor, noise: Noise | None = None) -> Tensor:
        """Images in [0, 1]; with noise, black and white ones if the codec is of such."""
        x = to_unit_interval(items)
        return x if noise is None else self.draw(x, noise)

    def decode(self, x: Tensor) -> Tensor:
        """The same images: [0, 1] is their unit."""
        return x

    def log_abs_det(self, x: Tensor) -> Tensor:
        """0, because images are in units of [0, 1]."""
        return torch.zeros(len(x), dtype=torch.float64)

    def draw(self, x: Tensor, noise: Noise) -> Tensor:
        """Black and white images drawn from grey ones `(B, C, H, W)`, if the codec is of such."""
        return noise.bernoulli(x) if self.is_stochastic else x

    def draw_by_row(self, x: Tensor, rows: Tensor) -> Tensor:
        """Black and white images, the same for a row whatever is drawn beside it."""
        if not self.is_stochastic:
            return x
        return (uniform_by_row("pixels", rows, x.shape[1:]).to(x.device) < x).float()
