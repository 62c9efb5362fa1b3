"""What changes while a model learns."""

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
    """

    model: nn.Module
    optimizer: Adam
    generator: Generator
    step: int = 0
    epoch: int = 0

    @property
    def device(self) -> torch.device:
        """Where the model learns."""
        return self.generator.device

    def tensors(self) -> dict[str, Tensor]:
        """All of it as named tensors; a model's best weights travel with their own moments."""
        return {
            **{f"model.{name}": tensor for name, tensor in self.model.state_dict().items()},
            **{f"optimizer.{name}": tensor for name, tensor in self.optimizer.tensors().items()},
            "generator": self.generator.get_state(),
        }
