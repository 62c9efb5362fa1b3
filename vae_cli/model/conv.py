"""Residual convolutional networks for images of any height and width from 16 to 256.

Every level halves height and width and doubles the channels, up to eight times the first. Between
two halvings stand residual blocks (He et al., 2016, in the order norm, ReLU, convolution) with
group normalisation (Wu & He, 2018), which does not mix the images of a batch. The decoder enlarges
by nearest neighbour before it convolves, which leaves no checkerboards (Odena et al., 2016). A
fully connected layer between the last level and the latents is a seventh of the multiply-adds, and
about half of the gain over an MLP.
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

COARSEST = 8  # no side is halved once it is no longer than this
GROUP = 8  # channels normalised together
DENSE = 16  # units of the fully connected layer for each channel of the first level


@dataclass(frozen=True)
class Preset:
    """How wide and deep a network is: channels of the first level, residual blocks a level."""

    width: int
    depth: int


PRESETS = {"small": Preset(16, 1), "base": Preset(32, 2), "large": Preset(64, 3)}


@dataclass(frozen=True)
class Plan:
    """The sizes of a network.

    Attributes:
        shape: `(C, H, W)` of an image.
        sides: height and width of each level, from the image inwards, the image's own first.
        widths: channels of each level, without the image's.
        depth: residual blocks a level.
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
    """The sizes that suit images of `(C, H, W)`."""
    sides = [(shape[1], shape[2])]
    while min(sides[-1]) > COARSEST:
        height, width = sides[-1]
        sides.append((-(-height // 2), -(-width // 2)))
    widths = [preset.width * 2 ** min(level, 3) for level in range(len(sides) - 1)]
    return Plan(tuple(shape), tuple(sides), tuple(widths), preset.depth, DENSE * preset.width)


@final
class Block(nn.Module):
    """Two convolutions whose sum with the input goes on: `(B, C, H, W)` to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(width), _norm(width)
        self.conv1, self.conv2 = _conv(width, width), _conv(width, width)
        nn.init.zeros_(self.conv2.weight)  # a block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """The input and what is to be added to it."""
        inside = self.conv1(self.norm1(x).relu())
        residual: Tensor = self.conv2(self.norm2(inside).relu())
        return x + residual


@final
class ConvEncoder(nn.Module):
    """Halve and convolve, then a dense layer and one projection to mean and log-variance.

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
    """The encoder's mirror image, then a sigmoid for each pixel.

    Args:
        plan: the sizes, as the encoder has them.
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
            nn.Sequential(*(Block(width) for _ in range(plan.depth)), _leave(width, width_out))
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


def _leave(width: int, width_out: int) -> nn.Module:
    """From one level to the next; from the last, the norm and ReLU that end it.

    They stand before the enlargement, where they cost a quarter: by nearest neighbour it makes no
    difference.
    """
    return _conv(width, width_out) if width_out else nn.Sequential(_norm(width), nn.ReLU())


def _conv(width_in: int, width_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, 3, stride, padding=1)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(width // GROUP, width)
