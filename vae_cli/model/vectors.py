"""The networks for vectors: they standardise what comes in, and undo it on what goes out."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.likelihoods import ColumnNormal
from vae_cli.model.networks import MLPEncoder, relu_layers
from vae_cli.model.normal import DiagonalNormal

LEAST = -8.0  # of log σ²: a column that can be told exactly would drive it to minus infinity

Moments = tuple[Tensor, Tensor]


@final
class Columns(nn.Module):
    """Each column's mean and standard deviation over the training set, kept with the weights.

    Args:
        moments: `(D,)` each.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self.register_buffer("mean", moments[0].clone())
        self.register_buffer("scale", moments[1].clone())

    def standardised(self, x: Tensor) -> Tensor:
        """Vectors `(B, D)` in units of the columns' standard deviations, around 0."""
        return (x - self.mean) / self.scale

    def restored(self, x: Tensor) -> Tensor:
        """Standardised vectors `(B, D)` in the units of the data."""
        return self.mean + self.scale * x


@final
class VectorEncoder(nn.Module):
    """Standardised columns into an `MLPEncoder`.

    Args:
        moments: each column's mean and standard deviation over the training set, `(D,)` each.
        hidden: widths of the hidden layers.
        latent_dim: dimensions of the latent space.
    """

    def __init__(self, moments: Moments, hidden: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.columns = Columns(moments)
        self.mlp = MLPEncoder(moments[0].shape, hidden, latent_dim)

    def forward(self, x: Tensor) -> DiagonalNormal:
        """The posterior of vectors `(B, D)` in the units of the data."""
        posterior: DiagonalNormal = self.mlp(self.columns.standardised(x))
        return posterior


@final
class VectorDecoder(nn.Module):
    """The encoder's mirror image; a σ for each column is learned with the weights.

    Args:
        moments: as the encoder has them.
        hidden: widths of the hidden layers, as the encoder has them.
        latent_dim: dimensions of the latent space.
    """

    def __init__(self, moments: Moments, hidden: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.columns = Columns(moments)
        self.layers = relu_layers([latent_dim, *reversed(hidden)])
        self.project = nn.Linear(hidden[0], len(moments[0]))
        self.log_variance = nn.Parameter(torch.zeros(len(moments[0])))

    def forward(self, z: Tensor) -> ColumnNormal:
        """The likelihood for latents `(B, D)`, in the units of the data."""
        mean = self.columns.restored(self.project(self.layers(z)).float())
        return ColumnNormal(mean, self.log_variance.clamp(min=LEAST), self.columns.scale)
