"""Fully connected networks for images or rows, and the layers that they are made of.

MLPEncoder, MLPDecoder       between items and one level of latents
JointEncoder, JointDecoder   with two inputs, for models with two levels

The first two take the condition of the items, `(B, W)`, beside the items or the latents.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.heads import Head, NormalHead
from vae_cli.model.posterior import DiagonalNormal, Posterior


@final
class Gated(nn.Module):
    """A dense layer whose outputs are multiplied by gates (Dauphin et al., 2017, eq. 1).

    `(..., width_in)` to `(..., width_out)`: (W x + b) · σ(V x + c), as one matrix product.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.both = nn.Linear(width_in, 2 * width_out)

    def forward(self, x: Tensor) -> Tensor:
        """The gated outputs."""
        values, gates = self.both(x).chunk(2, -1)
        gated: Tensor = values * gates.sigmoid()
        return gated


def to_head(latents: int | Head) -> Head:
    """A head of its own for an encoder: that of normal latents if their number is given."""
    return NormalHead(latents) if isinstance(latents, int) else latents


def beside(values: Tensor, y: Tensor | None, width: int) -> Tensor:
    """Values `(B, D)` with conditions `(B, width)` beside them, if the width is not 0.

    In values `(B, D, H, W)`, the condition of an item is in each place.

    Raises:
        TypeError: the conditions have another width.
    """
    given = 0 if y is None else y.shape[-1]
    if given != width:
        raise TypeError(f"conditions of {given} values for a network that takes {width}")
    if y is None:
        return values
    places = values.shape[2:]
    spread = y.view(*y.shape, *(1 for _ in places)).expand(*y.shape, *places)
    return torch.cat([values, spread.to(values.dtype)], 1)


def dense_layers(
    widths: Sequence[int], activation: type[nn.Module] = nn.ReLU, *, gated: bool = False
) -> nn.Sequential:
    """Dense layers between successive widths, each gated or followed by the activation."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += (
            [Gated(width_in, width_out)]
            if gated
            else [nn.Linear(width_in, width_out), activation()]
        )
    return nn.Sequential(*layers)


@final
class MLPEncoder(nn.Module):
    """Fully connected layers, then one projection to all that the head takes.

    For mean and log-variance, a single projection of width 2D is faster than two of width D: one
    matrix product, not two.

    Args:
        shape: `(C, H, W)` of an image, or `(D,)` of a row.
        hidden: widths of the hidden layers, from the item to the latents.
        latents: makes the posterior; a number of dimensions is that of normal ones.
        activation: of the hidden layers.
        gated: whether the hidden layers are gated instead.
        condition: values of the condition of an item; 0 if there is none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        latents: int | Head,
        activation: type[nn.Module] = nn.ReLU,
        *,
        gated: bool = False,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.head, self.condition = to_head(latents), condition
        self.layers = dense_layers([prod(shape) + condition, *hidden], activation, gated=gated)
        self.project = nn.Linear(hidden[-1], self.head.outputs)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Posterior:
        """The posterior of items `(B, *shape)`, with conditions `(B, condition)` if it has them."""
        posterior: Posterior = self.head(
            self.project(self.layers(beside(x.flatten(1), y, self.condition)))
        )
        return posterior


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
        condition: values of the condition of an item; 0 if there is none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        latent_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        *,
        gated: bool = False,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.condition = tuple(shape), condition
        widths = [latent_dim + condition, *reversed(hidden)]
        self.layers = dense_layers(widths, activation, gated=gated)
        self.project = nn.Linear(hidden[0], prod(shape))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The raw outputs for latents `(B, latent_dim)`: `(B, *shape)`."""
        outputs: Tensor = self.project(self.layers(beside(z, y, self.condition)))
        return outputs.view(-1, *self.shape)

    @torch.no_grad()
    def set_output_bias(self, outputs: Tensor) -> None:
        """Let the raw outputs `(*shape)` be what the decoder returns before it has learned."""
        self.project.bias.copy_(outputs.flatten())


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
        head: makes the posterior of latents with as many dimensions as those of the other level.
        activation: of the hidden layers.
        gated: whether the hidden layers are gated instead.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        head: NormalHead,
        activation: type[nn.Module] = nn.ReLU,
        *,
        gated: bool = False,
    ) -> None:
        widths = prod(shape), head.latent_dim
        super().__init__(widths, hidden, head.outputs, activation, gated=gated)
        self.head = head

    def forward(self, x: Tensor, z: Tensor) -> DiagonalNormal:
        """The parameters `(K, B, D)` for items `(B, *shape)` and latents `(K, B, D)`."""
        posterior: DiagonalNormal = self.head(self.combine(x.flatten(1), z))
        return posterior


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
