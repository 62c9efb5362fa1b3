"""Training: the state, one step, one epoch, the loop, and the metrics of an epoch."""

from vae_cli.training.captured import CapturedEpoch
from vae_cli.training.epoch import Epoch, TracedEpoch
from vae_cli.training.loop import evaluate, fit, prepare_epoch
from vae_cli.training.metrics import ACTIVE_THRESHOLD, EpochReport, Metrics
from vae_cli.training.optimizer import Adam
from vae_cli.training.schedules import Schedule, constant, cosine
from vae_cli.training.state import TrainState
from vae_cli.training.step import loss_and_gradients, trace, train_step

__all__ = [
    "ACTIVE_THRESHOLD",
    "Adam",
    "CapturedEpoch",
    "Epoch",
    "EpochReport",
    "Metrics",
    "Schedule",
    "TracedEpoch",
    "TrainState",
    "constant",
    "cosine",
    "evaluate",
    "fit",
    "loss_and_gradients",
    "prepare_epoch",
    "trace",
    "train_step",
]
