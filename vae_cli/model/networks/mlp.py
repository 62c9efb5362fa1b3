"""Fully connected networks for images or rows."""

from collections.abc import Sequence
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.networks.layers import dense_layers, to_normal
from vae_cli.model.normal import DiagonalNormal


@final
class MLPEncoder(nn.Module):
    """Fully connected layers, then one projection to mean and log-variance.

    A single projection of width 2D is faster than two of width D: one matrix product, not two.

    Args:
        shape: `(C, H, W)` of an image, or `(D,)` of a row.
        hidden: widths of the hidden layers, from the item to the latents.
        latent_dim: number of latent dimensions.
        activation: of the hidden layers.
        gated: whether the hidden layers are gated instead.
        bounded: whether the log-variance is held between limits.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        latent_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        *,
        gated: bool = False,
        bounded: bool = False,
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.layers = dense_layers([prod(shape), *hidden], activation, gated=gated)
        self.project = nn.Linear(hidden[-1], 2 * latent_dim)

    def forward(self, x: Tensor) -> DiagonalNormal:
        """The posterior of items `(B, *shape)`: parameters `(B, latent_dim)`."""
        return to_normal(self.project(self.layers(x.flatten(1))), bounded=self.bounded)


@final
class MLPDecoder(nn.Module):
    """The mirror image of the encoder.

    Args:
        shape: of the raw outputs for one item: `(C, H, W)` or `(D,)`, with the first of them
            multiplied by the outputs per value of the likelihood.
        hidden: widths of the encoder's hidden layers, from the item to the latents.
        latent_dim: number of latent dimensions.
        activation: of the hidden layers.
        gated: whether the hidden layers are gated instead.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        latent_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        *,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.layers = dense_layers([latent_dim, *reversed(hidden)], activation, gated=gated)
        self.project = nn.Linear(hidden[0], prod(shape))

    def forward(self, z: Tensor) -> Tensor:
        """The raw outputs for latents `(B, latent_dim)`: `(B, *shape)`."""
        outputs: Tensor = self.project(self.layers(z))
        return outputs.view(-1, *self.shape)

    @torch.no_grad()
    def set_output_bias(self, outputs: Tensor) -> None:
        """Let the raw outputs `(*shape)` be what the decoder returns before it has learned."""
        self.project.bias.copy_(outputs.flatten())
