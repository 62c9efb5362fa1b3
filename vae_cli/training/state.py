"""What changes while a model learns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from vae_cli.adam import Adam
from vae_cli.training.metrics import Totals


@dataclass
class TrainState:
    """Everything that changes while learning, and nothing that does not.

    A run taken up from these tensors and numbers goes on bit for bit as if it had never stopped.

    Attributes:
        model: the parameters.
        optimizer: the moments of their gradients.
        generator: where the posterior samples come from, on the model's device.
        step: steps done since the start.
        epoch: whole epochs done since the start.
        done: steps done of the epoch under way.
        totals: what they cost.
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
        """All tensors by name; a model's best weights travel with their own moments."""
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
    def load(self, tensors: Mapping[str, Tensor], position: Mapping[str, int]) -> None:
        """Take over what `tensors()` and `position()` gave, into the memory that is already there.

        Raises:
            KeyError: something is missing.
            RuntimeError: a shape is another.
        """
        for name, tensor in self.tensors().items():
            if name not in {"totals", "generator"}:
                tensor.copy_(tensors[name])
        self.generator.set_state(tensors["generator"].cpu())
        self.totals.put(tensors.get("totals"), position["count"])
        self.step, self.epoch, self.done = (position[key] for key in ("step", "epoch", "done"))

    def end_epoch(self) -> None:
        """Count the epoch under way as done."""
        self.epoch, self.done = self.epoch + 1, 0
        self.totals.clear()
