"""How large a network is, counted without allocating it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks


@dataclass(frozen=True)
class Size:
    """What a network costs.

    Attributes:
        parameters: learned numbers.
        multiply_adds: of one item's way through, forward.
        batch_bytes: kept between the forward and the backward pass of a batch.
    """

    parameters: int
    multiply_adds: int
    batch_bytes: int


def measure(model: nn.Module, shape: Sequence[int], batch_size: int) -> Size:
    """The size of a model on the meta device, for items of a shape."""
    from torch.utils.flop_counter import FlopCounterMode  # a quarter of a second, for triton

    own = {_place(parameter) for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[_place(tensor)] = tensor.untyped_storage().nbytes()  # two views of one count once
        return tensor

    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, *shape, device="meta"))
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        model(torch.empty(batch_size, *shape, device="meta"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    memory = sum(size for place, size in kept.items() if place not in own)
    return Size(parameters, counter.get_total_flops() // 2, memory)


def _place(tensor: Tensor) -> int:
    """What tells one storage from another where there are no addresses."""
    place: int = tensor.untyped_storage()._cdata
    return place
