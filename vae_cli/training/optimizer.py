"""Adam (Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980, algorithm 1).

    m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
    θ ← θ − α m̂ / (√v̂ + ε)       m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)

The update itself is torch's fused kernel. `torch.optim.Adam` adds parameter groups, hooks and
closures, which take a small network as much time again, so the moments are stored here instead.
"""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor
from torch.optim.adam import adam


@final
class Adam:
    """The moments of the gradients of named parameters, β₁ = 0.9, β₂ = 0.999, ε = 1e-8."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        self.m = [torch.zeros_like(parameter) for parameter in self.parameters.values()]
        self.v = [torch.zeros_like(parameter) for parameter in self.parameters.values()]
        self.t = [torch.zeros((), device=first.device) for first in self.m]

    @torch.no_grad()
    def step(
        self, gradients: Sequence[Tensor], learning_rate: float | Tensor, loss: Tensor
    ) -> None:
        """Change the parameters in place by one step of size `learning_rate`.

        If the loss is not finite, parameters and moments stay as they are. The kernel itself reads
        this flag, so the processor does not wait for the device.
        """
        adam(
            list(self.parameters.values()),
            list(gradients),
            self.m,
            self.v,
            [],
            self.t,
            fused=True,
            found_inf=loss.isfinite().logical_not().float(),
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The moments and step counts by parameter: `NAME.m`, `NAME.v`, `NAME.t`."""
        rows = zip(self.parameters, self.m, self.v, self.t, strict=True)
        return {
            f"{name}.{key}": tensor
            for name, m, v, t in rows
            for key, tensor in (("m", m), ("v", v), ("t", t))
        }
