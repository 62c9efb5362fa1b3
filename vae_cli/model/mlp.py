"""Fully connected networks: an encoder for images or rows, and a decoder for images."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.likelihoods import HalfVarianceNormal
from vae_cli.model.normal import DiagonalNormal


@final
class MLPEncoder(nn.Module):
    """Fully connected layers with ReLU, then one projection to mean and log-variance.

    A single projection of width 2D is faster than two of width D: one matrix product, not two.

    Args:
        shape: `(C, H, W)` of an image.
        hidden: widths of the hidden layers, from the image to the latents.
        latent_dim: D.
    """

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.layers = relu_layers([prod(shape), *hidden])
        self.project = nn.Linear(hidden[-1], 2 * latent_dim)

    def forward(self, x: Tensor) -> DiagonalNormal:
        """The posterior of images `(B, C, H, W)`: parameters `(B, D)`."""
        mean, log_variance = self.project(self.layers(x.flatten(1))).float().chunk(2, dim=-1)
        return DiagonalNormal(mean, log_variance)


@final
class MLPDecoder(nn.Module):
    """The mirror image of the encoder: ReLU layers, then a sigmoid for each pixel.

    Args:
        shape: `(C, H, W)` of an image.
        hidden: widths of the encoder's hidden layers, from the image to the latents.
        latent_dim: D.
    """

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.layers = relu_layers([latent_dim, *reversed(hidden)])
        self.project = nn.Linear(hidden[0], prod(shape))

    def forward(self, z: Tensor) -> HalfVarianceNormal:
        """The likelihood of latents `(B, D)`: mean `(B, C, H, W)`, pixels in [0, 1]."""
        logits: Tensor = self.project(self.layers(z))
        return HalfVarianceNormal(torch.sigmoid(logits.float()).view(-1, *self.shape))


def relu_layers(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers between successive widths, each followed by ReLU."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers)
