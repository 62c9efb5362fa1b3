"""Objectives: what a training minimizes."""

from vae_cli.model.objectives.capacity import Capacity
from vae_cli.model.objectives.dreg import NegativeDReG
from vae_cli.model.objectives.elbo import NegativeELBO
from vae_cli.model.objectives.iwae import NegativeIWAE
from vae_cli.model.objectives.mmd import InfoVAE
from vae_cli.model.objectives.objective import Context, Loss, Objective
from vae_cli.model.objectives.tc import TotalCorrelation

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
