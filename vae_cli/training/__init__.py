"""Training: the state, one step, one epoch, the loop, and the metrics of an epoch.

step.py is one step: losses, gradients, optimizers. epochs.py runs it for all batches, as traced or
captured code. loop.py is `fit`: epochs, the evaluation after each, and what is reported. state.py
holds everything that changes, and world.py what several processes of one training do together;
optimizers.py and schedules.py are pure functions of the step.

It may import the model and the data, and no settings and no files: what it is given are modules,
splits and numbers.
"""

from vae_cli.training.epochs import CapturedEpoch, Epoch, TracedEpoch, prepare_epoch
from vae_cli.training.loop import evaluate, fit
from vae_cli.training.metrics import ACTIVE_THRESHOLD, EpochReport, Metrics
from vae_cli.training.optimizers import (
    Adam,
    AdaMax,
    Optimizer,
    clip_norm,
    normalize_each,
    unchanged,
)
from vae_cli.training.schedules import (
    Schedule,
    constant,
    cosine,
    linear_warmup,
    no_warmup,
    warmup_share,
)
from vae_cli.training.state import Player, TrainState, WeightAverage, first_state
from vae_cli.training.step import Gradients, loss_and_gradients, trace, train_step
from vae_cli.training.world import ALONE, Processes, World, join

__all__ = [
    "ACTIVE_THRESHOLD",
    "ALONE",
    "AdaMax",
    "Adam",
    "CapturedEpoch",
    "Epoch",
    "EpochReport",
    "Gradients",
    "Metrics",
    "Optimizer",
    "Player",
    "Processes",
    "Schedule",
    "TracedEpoch",
    "TrainState",
    "WeightAverage",
    "World",
    "clip_norm",
    "constant",
    "cosine",
    "evaluate",
    "first_state",
    "fit",
    "join",
    "linear_warmup",
    "loss_and_gradients",
    "no_warmup",
    "normalize_each",
    "prepare_epoch",
    "trace",
    "train_step",
    "unchanged",
    "warmup_share",
]
