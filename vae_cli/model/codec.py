"""The columns of a table, standardized for the network."""

from collections.abc import Callable
from typing import Self, final

import torch
from torch import Tensor, nn


@final
class ColumnScaling(nn.Module):
    """The mean and standard deviation of each column, stored with the weights.

    The network sees standardized columns: 0 is the mean, and 1 is a standard deviation. The
    arithmetic is in float64, so that a large mean does not hide small differences. It is done
    on the processor, where the two tensors stay: not every device has float64.

    Args:
        mean: `(D,)`, over the training set.
        std: `(D,)`, over the training set; 0 for a column that never changes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.double())
        self.register_buffer("std", std.double())

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:  # noqa: ARG002
        return self  # called by .to(), .cuda(), .half() and the like

    def standardize(self, x: Tensor) -> Tensor:
        """Rows `(B, D)` in the units of the data, as float32 for the network."""
        return ((x.cpu().double() - self.mean) / torch.where(self.std > 0, self.std, 1.0)).float()

    def restore(self, x: Tensor) -> Tensor:
        """Standardized rows `(B, D)` as float64 in the units of the data.

        A column that never changes comes out as its constant.
        """
        return self.mean + self.std * x.cpu().double()
