"""What flows through a training and an evaluation: some items, and what they are conditioned on."""

from dataclasses import dataclass
from typing import final

from torch import Tensor
from torch.utils import _pytree as pytree


@final
@dataclass(frozen=True)
class Batch:
    """B items as a network takes them, and their condition.

    A model of p(x) has no condition; one of p(x|y) has one value, or one vector, for each item. The
    class is registered as a tree of tensors, so that torch's transformations look into it.

    Attributes:
        x: float32 `(B, C, H, W)` of images in [0, 1], or `(B, D)` of standardized rows.
        y: float32 `(B, W)`, as `Condition` encodes it; None if there is no condition.
    """

    x: Tensor
    y: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, items: slice | Tensor) -> "Batch":
        """Some of the items: a range of them, their places, or those for which a mask is true."""
        return Batch(self.x[items], None if self.y is None else self.y[items])


pytree.register_dataclass(Batch)
