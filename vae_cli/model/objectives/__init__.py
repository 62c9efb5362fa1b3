"""Objectives: what a training minimizes."""

from vae_cli.model.objectives.aggregated import InfoVAE, TotalCorrelation
from vae_cli.model.objectives.elbo import Capacity, NegativeELBO
from vae_cli.model.objectives.importance import (
    NegativeCIWAE,
    NegativeDReG,
    NegativeIWAE,
    NegativePIWAE,
)
from vae_cli.model.objectives.objective import Context, Loss, Objective

__all__ = [
    "Capacity",
    "Context",
    "InfoVAE",
    "Loss",
    "NegativeCIWAE",
    "NegativeDReG",
    "NegativeELBO",
    "NegativeIWAE",
    "NegativePIWAE",
    "Objective",
    "TotalCorrelation",
]
