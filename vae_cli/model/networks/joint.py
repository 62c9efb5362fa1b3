"""Fully connected networks with two inputs."""

from collections.abc import Sequence
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.networks.layers import dense_layers, to_normal
from vae_cli.model.normal import DiagonalNormal


class Joint(nn.Module):
    """Layers for each of two inputs, a layer for both together, and a projection.

    Args:
        widths: of the two inputs.
        hidden: widths of the hidden layers; the last is that of the joint layer. If there is only
            one, the layers of the inputs have it too.
        outputs: width of the projection.
        activation: of the hidden layers.
        gated: whether the hidden layers are gated instead.
    """

    def __init__(
        self,
        widths: tuple[int, int],
        hidden: Sequence[int],
        outputs: int,
        activation: type[nn.Module] = nn.ReLU,
        *,
        gated: bool = False,
    ) -> None:
        super().__init__()
        own = list(hidden[:-1] or hidden)
        self.one, self.other = (
            dense_layers([width, *own], activation, gated=gated) for width in widths
        )
        self.both = dense_layers([2 * own[-1], hidden[-1]], activation, gated=gated)
        self.project = nn.Linear(hidden[-1], outputs)

    def combine(self, one: Tensor, other: Tensor) -> Tensor:
        """The outputs `(..., outputs)` for inputs `(..., width)`.

        Their leading dimensions are broadcast after their own layers.
        """
        parts = torch.broadcast_tensors(self.one(one), self.other(other))
        outputs: Tensor = self.project(self.both(torch.cat(parts, dim=-1)))
        return outputs


@final
class JointEncoder(Joint):
    """The distribution of latents given an item and the latents of another level.

    Args:
        shape: `(C, H, W)` of an image, or `(D,)` of a row.
        hidden: widths of the hidden layers.
        latent_dim: number of latent dimensions of both levels.
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
        super().__init__((prod(shape), latent_dim), hidden, 2 * latent_dim, activation, gated=gated)
        self.bounded = bounded

    def forward(self, x: Tensor, z: Tensor) -> DiagonalNormal:
        """The parameters `(K, B, D)` for items `(B, *shape)` and latents `(K, B, D)`."""
        return to_normal(self.combine(x.flatten(1), z), bounded=self.bounded)


@final
class JointDecoder(Joint):
    """The raw outputs for the latents of two levels.

    Args:
        shape: of the raw outputs for one item, as in `MLPDecoder`.
        hidden: widths of the encoder's hidden layers, from the item to the latents.
        latent_dim: number of latent dimensions of both levels.
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
        widths, outputs = (latent_dim, latent_dim), prod(shape)
        super().__init__(widths, hidden[::-1], outputs, activation, gated=gated)
        self.shape = tuple(shape)

    def forward(self, z_0: Tensor, z_1: Tensor) -> Tensor:
        """The raw outputs `(..., *shape)` for latents `(..., D)` of both levels."""
        outputs: Tensor = self.combine(z_0, z_1).unflatten(-1, self.shape)
        return outputs

    @torch.no_grad()
    def set_output_bias(self, outputs: Tensor) -> None:
        """Let the raw outputs `(*shape)` be what the decoder returns before it has learned."""
        self.project.bias.copy_(outputs.flatten())
