"""The networks: from an image to the parameters of its posterior, and from a latent to an image."""

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

    One projection of width 2D is one matrix product where two of width D would be two.

    Args:
        shape: `(C, H, W)` of an image.
        hidden: widths of the hidden layers, from the image inwards.
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
    """The encoder's mirror image: ReLU layers, then a sigmoid for each pixel.

    Args:
        shape: `(C, H, W)` of an image.
        hidden: widths of the hidden layers, from the image inwards, as the encoder has them.
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
    """Linear layers from width to width, each followed by ReLU."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers)
