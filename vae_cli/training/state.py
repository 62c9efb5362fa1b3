"""What changes while a model learns."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from vae_cli.adam import Adam


@dataclass
class TrainState:
    """Everything that changes while learning, and nothing that does not.

    Attributes:
        model: the parameters.
        optimizer: the moments of their gradients.
        generator: where the posterior samples come from, on the model's device.
        step: steps done since the start.
        epoch: whole epochs done since the start.
        dtype: of the matrix products; anything but float32 goes through autocast.
    """

    model: nn.Module
    optimizer: Adam
    generator: Generator
    step: int = 0
    epoch: int = 0
    dtype: torch.dtype = torch.float32

    def tensors(self) -> dict[str, Tensor]:
        """All of it as named tensors; a model's best weights travel with their own moments."""
        return {
            **{f"model.{name}": tensor for name, tensor in self.model.state_dict().items()},
            **{f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()},
            "generator": self.generator.get_state(),
        }

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors()` gave, into the memory that is already there."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
        self.generator.set_state(tensors["generator"].cpu())
