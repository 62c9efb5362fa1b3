"""What a training will need, measured with a few of its real steps."""

import time
from dataclasses import dataclass

import torch

from vae_cli.build import build_objective
from vae_cli.data.batches import steps_per_epoch
from vae_cli.experiment.budget import training_bytes
from vae_cli.experiment.resolve import Resolved
from vae_cli.training import TrainState, prepare_epoch
from vae_cli.training.precision import Precision, apply_precision

STEPS, TURNS = 10, 3  # measured steps in a turn, and turns, of which the fastest counts
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Estimate:
    """What a training needs.

    Attributes:
        parameters: number of learned values.
        parameter_bytes: memory of the parameters, their gradients and the moments of Adam.
        batch_bytes: memory between the forward and the backward pass of a batch.
        data_bytes: memory of both sets on the device.
        steps: per epoch.
        step_seconds: of one step, without the evaluation on the test set.
    """

    parameters: int
    parameter_bytes: int
    batch_bytes: int
    data_bytes: int
    steps: int
    step_seconds: float

    @property
    def epoch_seconds(self) -> float:
        """The training part of an epoch."""
        return self.steps * self.step_seconds


def estimate_training(resolved: Resolved) -> Estimate:
    """Measure a training with a new state that is thrown away; nothing is written."""
    config, size = resolved.config, resolved.model_size()
    parts = {id(part.items): part.items for part in (resolved.train, resolved.test)}
    return Estimate(
        size.parameters,
        training_bytes(config, resolved.spec.shape),
        size.batch_bytes,
        sum(items.nbytes for items in parts.values()),
        steps_per_epoch(len(resolved.train), config.training.batch_size),
        measure_step(resolved, resolved.precision),
    )


def measure_step(resolved: Resolved, precision: Precision) -> float:
    """The seconds of one training step in a precision, after the first steps have been compiled."""
    state: TrainState = resolved.initial_state()
    apply_precision(precision, state)
    batch_size = resolved.config.training.batch_size
    some = resolved.train.head(STEPS * batch_size)
    epoch = prepare_epoch(state, build_objective(resolved.config.objective), some, batch_size)
    order = torch.arange(len(some), device=resolved.device)
    rates = torch.full((steps_per_epoch(len(some), batch_size),), LEARNING_RATE)
    seconds = []
    for _ in range(1 + TURNS):
        start = time.perf_counter()
        epoch.run(order, rates, torch.ones_like(rates))
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]) / len(rates)
