"""Adam (Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980) and its relatives.

    Adam, algorithm 1        m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
                             θ ← θ − α m̂ / (√v̂ + ε)       m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ)
    AdamW                    θ ← θ − α λ θ as well        Loshchilov & Hutter (2019), algorithm 2
    AdaMax, algorithm 2      u ← max(β₂ u, |g|)
                             θ ← θ − α / (1 − β₁ᵗ) · m / u

Adam's update itself is torch's fused kernel. `torch.optim.Adam` adds parameter groups, hooks and
closures, which take a small network as much time again, so the moments are stored here instead.
Gradients may be clipped or normalized before.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor
from torch.optim.adam import adam

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
Transform = Callable[[list[Tensor]], list[Tensor]]


def unchanged(gradients: list[Tensor]) -> list[Tensor]:
    """The gradients as they are."""
    return gradients


def clip_norm(gradients: list[Tensor], max_norm: float) -> list[Tensor]:
    """Scale all gradients together, so that their L2 norm is at most `max_norm`."""
    norm = torch.stack(torch._foreach_norm(gradients)).norm()
    return list(torch._foreach_mul(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0)))


def normalize_each(gradients: list[Tensor]) -> list[Tensor]:
    """Scale each gradient to an L2 norm of 1, as in the code of Norouzi et al. (2020)."""
    norms = [norm + 1e-10 for norm in torch._foreach_norm(gradients)]
    return list(torch._foreach_div(gradients, norms))


def zeros_for(parameter: Tensor) -> Tensor:
    """Zeros like a parameter; on the meta device, `zeros_like` would import sympy for 0.2 s."""
    if parameter.is_meta:
        return torch.zeros(parameter.shape, dtype=parameter.dtype, device=parameter.device)
    return torch.zeros_like(parameter)


class Optimizer(ABC):
    """Two moments of the gradients of named parameters, and the number of steps."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = dict(parameters)
        self.m = [zeros_for(parameter) for parameter in self.parameters.values()]
        self.v = [zeros_for(parameter) for parameter in self.parameters.values()]
        self.t = [torch.zeros((), device=first.device) for first in self.m]

    @abstractmethod
    def step(
        self, gradients: Sequence[Tensor], learning_rate: float | Tensor, loss: Tensor
    ) -> None:
        """Change the parameters in place by one step of size `learning_rate`.

        If the loss is not finite, the parameters stay as they are. The processor does not wait for
        the device to know.
        """

    def tensors(self) -> dict[str, Tensor]:
        """The moments and step counts by parameter: `NAME.m`, `NAME.v`, `NAME.t`."""
        rows = zip(self.parameters, self.m, self.v, self.t, strict=True)
        return {
            f"{name}.{key}": tensor
            for name, m, v, t in rows
            for key, tensor in (("m", m), ("v", v), ("t", t))
        }


@final
class Adam(Optimizer):
    """Adam; with a weight decay, AdamW.

    Args:
        parameters: what is learned, by name.
        weight_decay: λ.
        transform: changes the gradients before the step.
        betas: β₁ and β₂.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        weight_decay: float = 0.0,
        transform: Transform = unchanged,
        betas: tuple[float, float] = (BETA1, BETA2),
    ) -> None:
        super().__init__(parameters)
        self.weight_decay, self.transform, self.betas = weight_decay, transform, betas

    @torch.no_grad()
    def step(
        self, gradients: Sequence[Tensor], learning_rate: float | Tensor, loss: Tensor
    ) -> None:
        """One step; the kernel itself reads whether the loss is finite."""
        adam(
            list(self.parameters.values()),
            self.transform(list(gradients)),
            self.m,
            self.v,
            [],
            self.t,
            fused=True,
            found_inf=loss.isfinite().logical_not().float(),
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=learning_rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
            decoupled_weight_decay=self.weight_decay > 0,
        )


@final
class AdaMax(Optimizer):
    """AdaMax, where `v` is the largest gradient so far, u.

    Args:
        parameters: what is learned, by name.
        transform: changes the gradients before the step.
    """

    def __init__(self, parameters: Mapping[str, Tensor], transform: Transform = unchanged) -> None:
        super().__init__(parameters)
        self.transform = transform

    @torch.no_grad()
    def step(
        self, gradients: Sequence[Tensor], learning_rate: float | Tensor, loss: Tensor
    ) -> None:
        """One step; if the loss is not finite, the gradients count as 0 and the step too."""
        is_finite = loss.isfinite()
        safe = [torch.where(is_finite, g, 0.0) for g in self.transform(list(gradients))]
        torch._foreach_add_(self.t, 1)
        torch._foreach_lerp_(self.m, safe, 1 - BETA1)
        torch._foreach_mul_(self.v, BETA2)
        torch._foreach_maximum_(self.v, [gradient.abs() + EPSILON for gradient in safe])
        size = -learning_rate * is_finite / (1 - BETA1 ** self.t[0])
        steps = torch._foreach_div(self.m, self.v)
        torch._foreach_mul_(steps, size)
        torch._foreach_add_(list(self.parameters.values()), steps)
