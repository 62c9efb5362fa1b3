"""Residual convolutional networks for images of any height and width from 16 to 256.

Every level halves height and width and doubles the channels, up to eight times the first. Each
level has residual blocks (He et al., 2016, in the order norm, activation, convolution) with group
normalization (Wu & He, 2018), which does not mix the images of a batch. The decoder enlarges by
nearest neighbour before it convolves, which avoids checkerboard patterns (Odena et al., 2016). The
fully connected layer between the last level and the latents does a seventh of the multiply-adds,
and brings about half of the gain over an MLP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_cli.model.heads import Head
from vae_cli.model.networks.dense import beside, to_head
from vae_cli.model.posterior import Posterior

MIN_SIDE = 8  # pixels; sides of this length or less are not halved
GROUP_CHANNELS = 8  # channels that are normalized together
DENSE_UNITS = 16  # of the fully connected layer, per channel of the first level
SIDES = range(16, 257)  # pixels; the heights and widths that the network takes


@dataclass(frozen=True)
class Preset:
    """Width and depth of a network: channels of the first level, residual blocks per level."""

    width: int
    depth: int


PRESETS = {"small": Preset(16, 1), "base": Preset(32, 2), "large": Preset(64, 3)}


@final
@dataclass(frozen=True, kw_only=True)
class ConvSizes:
    """The sizes of a convolutional network.

    Attributes:
        shape: `(C, H, W)` of an image.
        sides: height and width of each level, starting with those of the image.
        widths: channels of each level, without the image.
        depth: residual blocks per level.
        dense: units of the fully connected layer between the last level and the latents.
        activation: the function between the layers.
    """

    shape: tuple[int, ...]
    sides: tuple[tuple[int, int], ...]
    widths: tuple[int, ...]
    depth: int
    dense: int
    activation: type[nn.Module] = nn.ReLU

    @property
    def coarsest(self) -> tuple[int, int, int]:
        """Channels, height and width of the last level."""
        return (self.widths[-1], *self.sides[-1])


def choose_conv_sizes(
    shape: Sequence[int], preset: Preset, activation: type[nn.Module] = nn.ReLU
) -> ConvSizes:
    """The sizes for images of `(C, H, W)`."""
    sides = choose_sides(shape)
    widths = [preset.width * 2 ** min(level, 3) for level in range(len(sides) - 1)]
    return ConvSizes(
        shape=tuple(shape),
        sides=tuple(sides),
        widths=tuple(widths),
        depth=preset.depth,
        dense=DENSE_UNITS * preset.width,
        activation=activation,
    )


def choose_sides(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Height and width of each level for images of `(C, H, W)`, starting with those of the image.

    Example:
        >>> choose_sides((1, 28, 28))
        [(28, 28), (14, 14), (7, 7)]
    """
    sides = [(shape[1], shape[2])]
    while min(sides[-1]) > MIN_SIDE:
        height, width = sides[-1]
        sides.append((-(-height // 2), -(-width // 2)))
    return sides


@final
class Block(nn.Module):
    """Two convolutions whose output is added to the input: `(B, C, H, W)` to the same shape."""

    def __init__(self, width: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.activation = activation()
        self.norm1, self.norm2 = norm(width), norm(width)
        self.conv1, self.conv2 = conv(width, width), conv(width, width)
        nn.init.zeros_(self.conv2.weight)  # a block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """The input plus the residual."""
        inside = self.conv1(self.activation(self.norm1(x)))
        residual: Tensor = self.conv2(self.activation(self.norm2(inside)))
        return x + residual


@final
class ConvEncoder(nn.Module):
    """Convolutions that halve the image, a dense layer, and a projection to what the head takes.

    If the latents are a grid, each of its places is projected by itself instead, and there is no
    dense layer.

    A condition comes in after the convolutions: they find what is in the image, and the layers
    after them decide what of it the latents have to tell beside the condition.

    Args:
        sizes: of the levels and of the layers.
        latents: makes the posterior; a number of dimensions is that of normal ones.
        condition: values of the condition of an item; 0 if there is none.
    """

    def __init__(self, sizes: ConvSizes, latents: int | Head, *, condition: int = 0) -> None:
        super().__init__()
        self.head, self.condition = to_head(latents), condition
        layers: list[nn.Module] = []
        for width_in, width in zip((sizes.shape[0], *sizes.widths), sizes.widths, strict=False):
            layers += [conv(width_in, width, stride=2), *blocks(width, sizes)]
        self.layers, self.activation = nn.Sequential(*layers), sizes.activation()
        self.depth = sizes.depth
        self.norm = norm(sizes.widths[-1])
        self.is_grid = len(self.head.event_shape) > 1
        if self.is_grid:
            self.project: nn.Module = nn.Conv2d(sizes.widths[-1] + condition, self.head.outputs, 1)
        else:
            self.dense = nn.Linear(prod(sizes.coarsest) + condition, sizes.dense)
            self.project = nn.Linear(sizes.dense, self.head.outputs)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """The posterior of images `(B, C, H, W)`, with conditions `(B, condition)` if any."""
        return self.posterior_from(self.layers(x), y)

    def features(self, x: Tensor) -> list[Tensor]:
        """The output of every level for images `(B, C, H, W)`, the coarsest last."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs[self.depth :: 1 + self.depth]

    def posterior_from(self, features: Tensor, y: Tensor | None = None) -> Posterior:
        """The posterior for the output of the coarsest level, and conditions if there are any."""
        found = self.activation(self.norm(features))
        if not self.is_grid:
            found = found.flatten(1)
        found = beside(found, y, self.condition)
        if not self.is_grid:
            found = self.activation(self.dense(found))
        posterior: Posterior = self.head(self.project(found))
        return posterior


@final
class ConvDecoder(nn.Module):
    """The mirror image of the encoder.

    Args:
        sizes: those of the encoder.
        latents: their number in a vector, or the shape `(C, h, w)` of a grid.
        outputs_per_value: of the likelihood.
        condition: values of the condition of an item; 0 if there is none.
    """

    def __init__(
        self,
        sizes: ConvSizes,
        latents: int | Sequence[int],
        outputs_per_value: int = 1,
        *,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.coarsest, self.activation = sizes.coarsest, sizes.activation()
        self.condition = condition
        channels, *places = [latents] if isinstance(latents, int) else latents
        self.is_grid = bool(places)
        if self.is_grid:
            self.project: nn.Module = conv(channels + condition, sizes.widths[-1])
        else:
            self.dense = nn.Linear(channels + condition, sizes.dense)
            self.project = nn.Linear(sizes.dense, prod(sizes.coarsest))
        self.sides = sizes.sides[-2::-1]
        widths = sizes.widths[::-1]
        self.levels = nn.ModuleList(
            nn.Sequential(*blocks(width, sizes), _end_level(width, width_out, sizes.activation))
            for width, width_out in zip(widths, (*widths[1:], 0), strict=True)
        )
        self.out = conv(sizes.widths[0], sizes.shape[0] * outputs_per_value)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The raw outputs for latents `(B, *event)`: `(B, C × outputs_per_value, H, W)`."""
        x = self.start(beside(z, y, self.condition))
        for number in range(len(self.levels)):
            x = self.enlarge(x, number)
        outputs: Tensor = self.out(x)
        return outputs

    def start(self, z: Tensor) -> Tensor:
        """The input of the coarsest level for latents, and conditions beside them."""
        x: Tensor = self.project(z if self.is_grid else self.activation(self.dense(z)))
        return x.view(-1, *self.coarsest)

    def enlarge(self, x: Tensor, number: int) -> Tensor:
        """The input of the next finer level for that of a level; the coarsest has number 0."""
        return F.interpolate(self.levels[number](x), self.sides[number], mode="nearest-exact")

    @torch.no_grad()
    def set_output_bias(self, outputs: Tensor) -> None:
        """Let the raw outputs `(C × outputs_per_value, H, W)` be, on average, what it returns."""
        assert self.out.bias is not None
        self.out.bias.copy_(outputs.mean((1, 2)))


def blocks(width: int, sizes: ConvSizes) -> list[Block]:
    """The residual blocks of one level."""
    return [Block(width, sizes.activation) for _ in range(sizes.depth)]


def _end_level(width: int, width_out: int, activation: type[nn.Module]) -> nn.Module:
    """The convolution to the next level, or the norm and activation at the end of the last level.

    The norm and activation come before the last enlargement, where they cost a quarter. The result
    is the same, because enlarging by nearest neighbour only repeats pixels.
    """
    return conv(width, width_out) if width_out else nn.Sequential(norm(width), activation())


def conv(width_in: int, width_out: int, stride: int = 1) -> nn.Conv2d:
    """A convolution with 3x3 weights that keeps height and width, or halves them."""
    return nn.Conv2d(width_in, width_out, 3, stride, padding=1)


def norm(width: int) -> nn.GroupNorm:
    """Group normalization of so many channels."""
    return nn.GroupNorm(width // GROUP_CHANNELS, width)
