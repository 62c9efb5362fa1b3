"""What the fits to the latents of a trained model share: steps, and all that they go on from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vae_cli.noise import Noise
from vae_cli.training.optimizers import Adam


class Fit(ABC):
    """A fit that goes on from its tensors, and ends bit for bit as one that never stopped.

    This holds on the same device.

    Args:
        optimizer: of the parameters that are fitted.
        noise: the source of all random numbers.
        steps: the largest number of steps.

    Attributes:
        step: the number of steps so far.
        steps: the largest number of them.
    """

    def __init__(self, optimizer: Adam, noise: Noise, steps: int) -> None:
        self.optimizer, self.noise, self.steps, self.step = optimizer, noise, steps, 0

    @abstractmethod
    def parts(self) -> dict[str, Mapping[str, Tensor]]:
        """What changes in the steps beside the optimizer and the noise, by name."""

    def tensors(self) -> dict[str, Tensor]:
        """All that the fit goes on from, by name."""
        parts = {**self.parts(), "optimizer": self.optimizer.tensors()}
        named = {f"{part}.{name}": t for part, some in parts.items() for name, t in some.items()}
        return named | {"generator": self.noise.state(), "step": torch.tensor(self.step)}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy what `tensors()` returned into the existing memory.

        Raises:
            RuntimeError: the bytes are not the state of a generator; nothing was changed.
        """
        self.noise.restore(tensors["generator"])
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
        self.step = int(tensors["step"])

    def descend(self, compute_loss: Callable[[], Tensor], learning_rate: float) -> None:
        """Do a step."""
        with torch.enable_grad():
            loss = compute_loss()
            gradients = torch.autograd.grad(loss, list(self.optimizer.parameters.values()))
        self.optimizer.step(gradients, learning_rate, loss.detach())
        self.step += 1
