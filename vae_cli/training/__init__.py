"""How it learns: state, step, loop, and what is known at the end of an epoch."""

from vae_cli.training import precision
from vae_cli.training.epoch import HostEpoch
from vae_cli.training.graph import DeviceEpoch
from vae_cli.training.loop import evaluate, fit
from vae_cli.training.metrics import EpochReport, Metrics
from vae_cli.training.schedules import Schedule, constant, cosine
from vae_cli.training.state import TrainState
from vae_cli.training.step import differentiate, trace, train_step

__all__ = [
    "DeviceEpoch",
    "EpochReport",
    "HostEpoch",
    "Metrics",
    "Schedule",
    "TrainState",
    "constant",
    "cosine",
    "differentiate",
    "evaluate",
    "fit",
    "precision",
    "trace",
    "train_step",
]
