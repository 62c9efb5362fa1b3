"""The moving average of the weights, which is often a better model than the last weights.

    θ̄ ← d θ̄ + (1 − d) θ,        d = min(decay, (1 + t) / (10 + t))

The decay rises in the first steps, so that the random initial weights are soon forgotten. It is the
average of Polyak & Juditsky (1992) with exponential weights.

Everything that changes during training.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Generator, Tensor

from vae_cli.model import LatentModel
from vae_cli.training.metrics import Totals
from vae_cli.training.optimizers import Optimizer


@final
class WeightAverage:
    """The exponential moving average of named parameters.

    Args:
        parameters: what is averaged.
        decay: d, below 1.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.parameters = list(parameters.values())
        self.values = {name: tensor.detach().clone() for name, tensor in parameters.items()}
        self.decay = decay
        self.t = torch.zeros((), device=self.parameters[0].device)

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the parameters, once after every step."""
        self.t += 1
        weight = 1 - ((1 + self.t) / (10 + self.t)).clamp(max=self.decay)
        averages = list(self.values.values())
        torch._foreach_lerp_(averages, self.parameters, [weight] * len(averages))

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name: `average.NAME`, and the count of the steps, `average_t`."""
        named = {f"average.{name}": tensor for name, tensor in self.values.items()}
        return {**named, "average_t": self.t}


TOTALS = "totals."


@dataclass
class TrainState:
    """Everything that changes during training, and nothing else.

    A run that is resumed from these tensors and numbers continues bit for bit as if it had never
    stopped.

    Attributes:
        model: the network with its parameters.
        optimizer: the moments of the gradients.
        generator: the source of the posterior samples, on the model's device.
        step: the number of steps since the start of the run.
        epoch: the number of complete epochs since the start of the run.
        done: the number of steps in the current epoch.
        totals: the sums of the losses of the current epoch.
        dtype: of the matrix products; anything but float32 goes through autocast.
        average: of the weights over the steps, for the evaluation; None if there is none.
    """

    model: LatentModel
    optimizer: Optimizer
    generator: Generator
    step: int = 0
    epoch: int = 0
    done: int = 0
    totals: Totals = field(default_factory=Totals)
    dtype: torch.dtype = torch.float32
    average: WeightAverage | None = None

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name: the weights together with their own moments."""
        return {
            **{f"model.{name}": tensor for name, tensor in self.model.state_dict().items()},
            **{f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()},
            **({} if self.average is None else self.average.tensors()),
            **{f"{TOTALS}{name}": total for name, total in self.totals.sums.items()},
            "generator": self.generator.get_state(),
        }

    def evaluation_weights(self) -> dict[str, Tensor]:
        """The weights to evaluate, by the model's own names: their average, if there is one."""
        averages = {} if self.average is None else self.average.values
        return self.model.state_dict() | averages

    def position(self) -> dict[str, int]:
        """All numbers by name."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "done": self.done,
            "count": self.totals.count,
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], position: Mapping[str, int]) -> None:
        """Copy what `tensors()` and `position()` returned into the existing memory.

        Raises:
            KeyError: a tensor or number is missing.
            RuntimeError: a tensor has another shape, or is not the state of a generator.
        """
        for name, tensor in self.tensors().items():
            if name != "generator" and not name.startswith(TOTALS):
                tensor.copy_(tensors[name])
        self._restore_generator(tensors["generator"].cpu(), position["step"])
        totals = {
            name.removeprefix(TOTALS): total
            for name, total in tensors.items()
            if name.startswith(TOTALS)
        }
        self.totals.restore(totals, position["count"])
        self.step, self.epoch, self.done = (position[key] for key in ("step", "epoch", "done"))

    def _restore_generator(self, saved: Tensor, step: int) -> None:
        """Go on with the random numbers that were saved; on another kind of device, with new ones.

        Raises:
            RuntimeError: the bytes are not the state of a generator.
        """
        if len(saved) == len(self.generator.get_state()):
            self.generator.set_state(saved)
        else:
            self.generator.manual_seed(self.generator.initial_seed() + step)

    def count_step(self, items: int) -> None:
        """Count a step that trained on so many items."""
        self.step, self.done = self.step + 1, self.done + 1
        self.totals.count += items

    def end_epoch(self) -> None:
        """Count the current epoch as complete."""
        self.epoch, self.done = self.epoch + 1, 0
        self.totals.clear()
