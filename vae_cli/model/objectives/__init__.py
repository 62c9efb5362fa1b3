"""Objectives: what a training minimizes."""

from vae_cli.model.objectives.aggregated import InfoVAE, TotalCorrelation
from vae_cli.model.objectives.elbo import Capacity, NegativeELBO
from vae_cli.model.objectives.importance import NegativeDReG, NegativeIWAE
from vae_cli.model.objectives.objective import Context, Loss, Objective

__all__ = [
    "Capacity",
    "Context",
    "InfoVAE",
    "Loss",
    "NegativeDReG",
    "NegativeELBO",
    "NegativeIWAE",
    "Objective",
    "TotalCorrelation",
]
