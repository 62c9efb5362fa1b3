"""Objectives: what a training minimizes."""

from vae_cli.model.objectives.aggregated import DIPVAE, InfoVAE, TotalCorrelation
from vae_cli.model.objectives.critics import Adversarial, Critic, FactorVAE
from vae_cli.model.objectives.elbo import Capacity, NegativeELBO
from vae_cli.model.objectives.importance import (
    NegativeCIWAE,
    NegativeDReG,
    NegativeIWAE,
    NegativePIWAE,
)
from vae_cli.model.objectives.objective import Context, Learning, Loss, Objective
from vae_cli.model.objectives.semi_supervised import NegativeM2

__all__ = [
    "DIPVAE",
    "Adversarial",
    "Capacity",
    "Context",
    "Critic",
    "FactorVAE",
    "InfoVAE",
    "Learning",
    "Loss",
    "NegativeCIWAE",
    "NegativeDReG",
    "NegativeELBO",
    "NegativeIWAE",
    "NegativeM2",
    "NegativePIWAE",
    "Objective",
    "TotalCorrelation",
]
