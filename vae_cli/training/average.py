"""The moving average of the weights, which is often a better model than the last weights.

    θ̄ ← d θ̄ + (1 − d) θ,        d = min(decay, (1 + t) / (10 + t))

The decay rises in the first steps, so that the random initial weights are soon forgotten. It is the
average of Polyak & Juditsky (1992) with exponential weights.
"""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor


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
