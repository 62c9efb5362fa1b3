"""Residual convolutional networks for images of any height and width from 16 to 256.

Every level halves height and width and doubles the channels, up to eight times the first. Each
level has residual blocks (He et al., 2016, in the order norm, ReLU, convolution) with group
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

from vae_cli.model.likelihoods import HalfVarianceNormal
from vae_cli.model.normal import DiagonalNormal

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


@dataclass(frozen=True)
class Plan:
    """The sizes of a network.

    Attributes:
        shape: `(C, H, W)` of an image.
        sides: height and width of each level, starting with those of the image.
        widths: channels of each level, without the image.
        depth: residual blocks per level.
        dense: units of the fully connected layer between the last level and the latents.
    """

    shape: tuple[int, ...]
    sides: tuple[tuple[int, int], ...]
    widths: tuple[int, ...]
    depth: int
    dense: int

    @property
    def coarsest(self) -> tuple[int, int, int]:
        """Channels, height and width of the last level."""
        return (self.widths[-1], *self.sides[-1])


def plan(shape: Sequence[int], preset: Preset) -> Plan:
    """The sizes for images of `(C, H, W)`."""
    sides = [(shape[1], shape[2])]
    while min(sides[-1]) > MIN_SIDE:
        height, width = sides[-1]
        sides.append((-(-height // 2), -(-width // 2)))
    widths = [preset.width * 2 ** min(level, 3) for level in range(len(sides) - 1)]
    return Plan(tuple(shape), tuple(sides), tuple(widths), preset.depth, DENSE_UNITS * preset.width)


@final
class Block(nn.Module):
    """Two convolutions whose output is added to the input: `(B, C, H, W)` to the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(width), _norm(width)
        self.conv1, self.conv2 = _conv(width, width), _conv(width, width)
        nn.init.zeros_(self.conv2.weight)  # a block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """The input plus the residual."""
        inside = self.conv1(self.norm1(x).relu())
        residual: Tensor = self.conv2(self.norm2(inside).relu())
        return x + residual


@final
class ConvEncoder(nn.Module):
    """Convolutions that halve the image, a dense layer, and a projection to mean and log-variance.

    Args:
        plan: the sizes.
        latent_dim: D.
    """

    def __init__(self, plan: Plan, latent_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width in zip((plan.shape[0], *plan.widths), plan.widths, strict=False):
            layers += [_conv(width_in, width, stride=2), *(Block(width) for _ in range(plan.depth))]
        self.layers = nn.Sequential(*layers)
        self.norm = _norm(plan.widths[-1])
        self.dense = nn.Linear(prod(plan.coarsest), plan.dense)
        self.project = nn.Linear(plan.dense, 2 * latent_dim)

    def forward(self, x: Tensor) -> DiagonalNormal:
        """The posterior of images `(B, C, H, W)`: parameters `(B, D)`."""
        features = self.norm(self.layers(x)).relu().flatten(1)
        mean, log_variance = self.project(self.dense(features).relu()).float().chunk(2, dim=-1)
        return DiagonalNormal(mean, log_variance)


@final
class ConvDecoder(nn.Module):
    """The mirror image of the encoder, then a sigmoid for each pixel.

    Args:
        plan: the sizes of the encoder.
        latent_dim: D.
    """

    def __init__(self, plan: Plan, latent_dim: int) -> None:
        super().__init__()
        self.coarsest = plan.coarsest
        self.dense = nn.Linear(latent_dim, plan.dense)
        self.project = nn.Linear(plan.dense, prod(plan.coarsest))
        self.sides = plan.sides[-2::-1]
        widths = plan.widths[::-1]
        self.levels = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(plan.depth)), _end_level(width, width_out))
            for width, width_out in zip(widths, (*widths[1:], 0), strict=True)
        )
        self.out = _conv(plan.widths[0], plan.shape[0])

    def forward(self, z: Tensor) -> HalfVarianceNormal:
        """The likelihood of latents `(B, D)`: mean `(B, C, H, W)`, pixels in [0, 1]."""
        x = self.project(self.dense(z).relu()).view(-1, *self.coarsest)
        for level, side in zip(self.levels, self.sides, strict=True):
            x = F.interpolate(level(x), side, mode="nearest-exact")
        logits: Tensor = self.out(x)
        return HalfVarianceNormal(torch.sigmoid(logits.float()))


def _end_level(width: int, width_out: int) -> nn.Module:
    """The convolution to the next level, or the norm and ReLU at the end of the last level.

    The norm and ReLU come before the last enlargement, where they cost a quarter. The result is the
    same, because enlarging by nearest neighbour only repeats pixels.
    """
    return _conv(width, width_out) if width_out else nn.Sequential(_norm(width), nn.ReLU())


def _conv(width_in: int, width_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, 3, stride, padding=1)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(width // GROUP_CHANNELS, width)
