"""Fully connected networks for images or rows, and the layers that they are made of.

MLPEncoder, MLPDecoder       between items and one level of latents
JointEncoder, JointDecoder   with two inputs, for models with two levels
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.posterior import DiagonalNormal


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


Limits = tuple[float, float]  # the least and the largest log-variance of a posterior
NARROW: Limits = (-6.0, 2.0)  # as in the code of Norouzi et al. (2020)
WIDE: Limits = (-14.0, 8.0)  # no posterior that has learned something comes there


def to_normal(parameters: Tensor, limits: Limits | None = None) -> DiagonalNormal:
    """The distribution for means and log-variances side by side, `(..., 2 D)`, in float32.

    Without limits, one item that is far from all others can have a variance that is infinite, and
    its loss ends the training.
    """
    mean, log_variance = parameters.float().chunk(2, dim=-1)
    if limits is not None:
        log_variance = log_variance.clamp(*limits)
    return DiagonalNormal(mean, log_variance)


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
    """Fully connected layers, then one projection to mean and log-variance.

    A single projection of width 2D is faster than two of width D: one matrix product, not two.

    Args:
        shape: `(C, H, W)` of an image, or `(D,)` of a row.
        hidden: widths of the hidden layers, from the item to the latents.
        latent_dim: number of latent dimensions.
        activation: of the hidden layers.
        gated: whether the hidden layers are gated instead.
        limits: between which the log-variance is held; None if there are none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        latent_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        *,
        gated: bool = False,
        limits: Limits | None = None,
    ) -> None:
        super().__init__()
        self.limits = limits
        self.layers = dense_layers([prod(shape), *hidden], activation, gated=gated)
        self.project = nn.Linear(hidden[-1], 2 * latent_dim)

    def forward(self, x: Tensor) -> DiagonalNormal:
        """The posterior of items `(B, *shape)`: parameters `(B, latent_dim)`."""
        return to_normal(self.project(self.layers(x.flatten(1))), self.limits)


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
        limits: between which the log-variance is held; None if there are none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        latent_dim: int,
        activation: type[nn.Module] = nn.ReLU,
        *,
        gated: bool = False,
        limits: Limits | None = None,
    ) -> None:
        super().__init__((prod(shape), latent_dim), hidden, 2 * latent_dim, activation, gated=gated)
        self.limits = limits

    def forward(self, x: Tensor, z: Tensor) -> DiagonalNormal:
        """The parameters `(K, B, D)` for items `(B, *shape)` and latents `(K, B, D)`."""
        return to_normal(self.combine(x.flatten(1), z), self.limits)


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
