"""What a training will need, measured with a few of its real steps."""

from dataclasses import dataclass

from vae_cli.data.batches import steps_per_epoch
from vae_cli.runs.resolve import Resolved, training_bytes
from vae_cli.settings.build import build_objective
from vae_cli.training import Epoch, prepare_epoch
from vae_cli.training.precision import Precision, apply_precision, time_steps


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
    state, batch_size = resolved.initial_state(), resolved.config.training.batch_size
    apply_precision(precision, state)
    objective = build_objective(resolved.config.objective)

    def prepare(steps: int) -> list[Epoch]:
        some = resolved.train.head(steps * batch_size)
        return [prepare_epoch(state, objective, some, batch_size)]

    return min(seconds for (seconds,) in time_steps(prepare))
