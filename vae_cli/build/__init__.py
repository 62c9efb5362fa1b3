"""The one place that constructs objects from a config."""

from vae_cli.build.data import build_dataset
from vae_cli.build.model import build_model, build_on_meta
from vae_cli.build.training import (
    build_objective,
    build_optimizer,
    build_schedule,
    build_state,
    build_warmup,
    plan_state,
)

__all__ = [
    "build_dataset",
    "build_model",
    "build_objective",
    "build_on_meta",
    "build_optimizer",
    "build_schedule",
    "build_state",
    "build_warmup",
    "plan_state",
]
