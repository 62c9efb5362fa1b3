"""How it learns: state, step, loop, and what is known at the end of an epoch."""

from vae_cli.training.graph import DeviceEpoch
from vae_cli.training.loop import evaluate, fit, train_epoch
from vae_cli.training.metrics import EpochReport, Metrics
from vae_cli.training.schedules import Schedule, constant, cosine
from vae_cli.training.state import TrainState
from vae_cli.training.step import train_step

__all__ = [
    "DeviceEpoch",
    "EpochReport",
    "Metrics",
    "Schedule",
    "TrainState",
    "constant",
    "cosine",
    "evaluate",
    "fit",
    "train_epoch",
    "train_step",
]
