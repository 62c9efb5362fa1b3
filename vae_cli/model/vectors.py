"""The networks for rows of a table. They standardize the input, and undo that on the output."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.likelihoods import ColumnNormal
from vae_cli.model.mlp import MLPEncoder, relu_layers
from vae_cli.model.normal import DiagonalNormal

MIN_LOG_VARIANCE = -8.0  # log σ² of a column that is predicted exactly would go to minus infinity


@final
class ColumnScaling(nn.Module):
    """The mean and standard deviation of each column, stored with the weights.

    Args:
        mean: `(D,)`, over the training set.
        std: `(D,)`, over the training set.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("scale", std.clone())

    def standardize(self, x: Tensor) -> Tensor:
        """Rows `(B, D)` around 0, in units of the columns' standard deviations."""
        return (x - self.mean) / self.scale

    def restore(self, x: Tensor) -> Tensor:
        """Standardized rows `(B, D)` in the units of the data."""
        return self.mean + self.scale * x


@final
class VectorEncoder(nn.Module):
    """Standardize the columns, then an `MLPEncoder`.

    Args:
        mean: of each column over the training set, `(D,)`.
        std: standard deviation of each column over the training set, `(D,)`.
        hidden: widths of the hidden layers.
        latent_dim: number of latent dimensions.
    """

    def __init__(self, mean: Tensor, std: Tensor, hidden: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.columns = ColumnScaling(mean, std)
        self.mlp = MLPEncoder(mean.shape, hidden, latent_dim)

    def forward(self, x: Tensor) -> DiagonalNormal:
        """The posterior of rows `(B, D)` in the units of the data."""
        posterior: DiagonalNormal = self.mlp(self.columns.standardize(x))
        return posterior


@final
class VectorDecoder(nn.Module):
    """The mirror image of the encoder. One σ per column is learned with the weights.

    Args:
        mean: of each column over the training set, `(D,)`.
        std: standard deviation of each column over the training set, `(D,)`.
        hidden: widths of the encoder's hidden layers.
        latent_dim: number of latent dimensions.
    """

    def __init__(self, mean: Tensor, std: Tensor, hidden: Sequence[int], latent_dim: int) -> None:
        super().__init__()
        self.columns = ColumnScaling(mean, std)
        self.layers = relu_layers([latent_dim, *reversed(hidden)])
        self.project = nn.Linear(hidden[0], len(mean))
        self.log_variance = nn.Parameter(torch.zeros(len(mean)))

    def forward(self, z: Tensor) -> ColumnNormal:
        """The likelihood for latents `(B, D)`, in the units of the data."""
        mean = self.columns.restore(self.project(self.layers(z)).float())
        log_variance = self.log_variance.clamp(min=MIN_LOG_VARIANCE)
        return ColumnNormal(mean, log_variance, self.columns.scale)
