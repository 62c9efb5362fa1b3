"""What a ladder adds to the decoder for one level of latents below the top."""

from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.networks.conv import Block, Plan, conv, norm
from vae_cli.model.normal import DiagonalNormal


@final
class Rung(nn.Module):
    """The conditional prior and posterior of one level, and the way of its latents into the image.

    The latents are images of a few channels, in the size of one level of the decoder. They are
    flattened to `D = channels × height × width` values.

    At the start of a training, the posterior is close to the prior, and the latents change little.
    Otherwise their noise and their KL hide the top level at first, and the training can stay where
    no level says anything.

    Args:
        plan: the sizes of the encoder and decoder.
        stage: the level of the decoder whose input is changed; 0 is the coarsest.
        channels: of the latents.
    """

    def __init__(self, plan: Plan, stage: int, channels: int) -> None:
        super().__init__()
        self.stage = stage
        width, self.shape = plan.widths[-1 - stage], (channels, *plan.sides[-1 - stage])
        self.block, self.activation = Block(width, plan.activation), plan.activation()
        self.norm_down, self.norm_up = norm(width), norm(width)
        self.down, self.up = conv(width, 4 * channels), conv(width, 2 * channels)
        self.merge = conv(channels, width)
        for layer, factor in ((self.down, 0.1), (self.up, 0.1), (self.merge, 0.01)):
            shrink(layer, factor)

    @property
    def latent_dim(self) -> int:
        """D."""
        return prod(self.shape)

    def look_down(self, h: Tensor) -> tuple[DiagonalNormal, DiagonalNormal]:
        """The prior given the levels above, and their share of the change to the posterior.

        Args:
            h: features of the top-down pass, `(N, width, height, width)`.

        Returns:
            Two sets of parameters `(N, D)`.
        """
        parts = self.down(self.activation(self.norm_down(h))).float().chunk(4, 1)
        mean, log_variance, mean_change, log_change = (part.flatten(1) for part in parts)
        return DiagonalNormal(mean, log_variance), DiagonalNormal(mean_change, log_change)

    def look_up(self, features: Tensor) -> DiagonalNormal:
        """The share of the image in the change to the posterior: parameters `(B, D)`.

        Args:
            features: of the bottom-up pass, `(B, width, height, width)`.
        """
        parts = self.up(self.activation(self.norm_up(features))).float().chunk(2, 1)
        return DiagonalNormal(*(part.flatten(1) for part in parts))

    def add(self, h: Tensor, z: Tensor) -> Tensor:
        """The features of the top-down pass with the latents `(N, D)` of this level."""
        merged: Tensor = self.merge(z.unflatten(1, self.shape))
        return h + merged


@torch.no_grad()
def shrink(layer: nn.Conv2d, factor: float) -> None:
    """Let a convolution start with small weights and without a bias."""
    assert layer.bias is not None
    layer.weight.mul_(factor)
    layer.bias.zero_()
