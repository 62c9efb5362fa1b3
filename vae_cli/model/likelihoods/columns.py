"""The likelihood of a table: columns with one learned scale each.

The columns are standardized, and each has a variance σ² that is learned with the weights (the σ-VAE
of Rybkin, Daniilidis & Levine, 2021, with one σ per column):

    −log p(x|z) = ½ Σ (x − mean)² / σ² + log σ²  +  ½ D log 2π.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor, nn

from vae_cli.model.likelihoods.likelihood import Distribution, Likelihood

MIN_LOG_VARIANCE = -8.0  # of a column that is predicted exactly, log σ² would go to −infinity


@final
@dataclass(frozen=True)
class ColumnNormal(Distribution):
    """Independent standardized columns, each N(mean, σ²).

    A column that never changes has no density, so it is left out of the sums, and samples of it are
    its mean.

    Attributes:
        mean: `(..., D)`, in units of the columns' standard deviations.
        log_variance: log σ², `(D,)`.
        changes: 0 for a column that never changes and 1 for the others, `(D,)`.
    """

    figure = "nll"
    mean: Tensor
    log_variance: Tensor
    changes: Tensor

    def distortion(self, x: Tensor) -> Tensor:
        """The negative log-likelihood of standardized columns, without ½ D log 2π."""
        squares = (x - self.mean) ** 2
        terms = squares * (-self.log_variance).exp() + self.log_variance
        return 0.5 * (terms * self.changes).sum(-1)

    @property
    def constant(self) -> Tensor:
        """½ D log 2π, where D counts the columns that change."""
        return 0.5 * math.log(2 * math.pi) * self.changes.sum()

    def sample(self, generator: Generator | None = None) -> Tensor:
        """One sample, `(..., D)`."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + self.changes * (0.5 * self.log_variance).exp() * noise


@final
class ColumnGaussian(Likelihood):
    """Standardized columns N(mean, σ²), with one learned σ per column.

    Args:
        changes: `(D,)`, 0 for a column that never changes and 1 for the others.
    """

    changes: Tensor

    def __init__(self, changes: Tensor) -> None:
        super().__init__()
        self.register_buffer("changes", changes.float())
        self.log_variance = nn.Parameter(torch.zeros(len(changes)))

    def forward(self, outputs: Tensor) -> ColumnNormal:
        """The distribution for raw outputs `(..., D)`."""
        log_variance = self.log_variance.clamp(min=MIN_LOG_VARIANCE)
        return ColumnNormal(outputs.float(), log_variance, self.changes)

    def outputs_for(self, mean: Tensor) -> Tensor:
        """The mean itself."""
        return mean
