"""Everything that changes during training."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from vae_cli.training.metrics import Totals
from vae_cli.training.optimizer import Adam


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
    """

    model: nn.Module
    optimizer: Adam
    generator: Generator
    step: int = 0
    epoch: int = 0
    done: int = 0
    totals: Totals = field(default_factory=Totals)
    dtype: torch.dtype = torch.float32

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name: the weights together with their own moments."""
        return {
            **{f"model.{name}": tensor for name, tensor in self.model.state_dict().items()},
            **{f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()},
            **({} if self.totals.sums is None else {"totals": self.totals.sums}),
            "generator": self.generator.get_state(),
        }

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
            RuntimeError: a tensor has another shape.
        """
        for name, tensor in self.tensors().items():
            if name not in {"totals", "generator"}:
                tensor.copy_(tensors[name])
        self.generator.set_state(tensors["generator"].cpu())
        self.totals.restore(tensors.get("totals"), position["count"])
        self.step, self.epoch, self.done = (position[key] for key in ("step", "epoch", "done"))

    def count_step(self, items: int) -> None:
        """Count a step that trained on so many items."""
        self.step, self.done = self.step + 1, self.done + 1
        self.totals.count += items

    def end_epoch(self) -> None:
        """Count the current epoch as complete."""
        self.epoch, self.done = self.epoch + 1, 0
        self.totals.clear()
