"""The size of a network, measured without allocating its memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from vae_cli.data.batch import Batch
from vae_cli.noise import Noise


@dataclass(frozen=True)
class Size:
    """The size of a network.

    Attributes:
        parameters: number of learned values.
        multiply_adds: of the forward pass of one item.
        batch_bytes: memory kept between the forward and the backward pass of a batch.
    """

    parameters: int
    multiply_adds: int
    batch_bytes: int


def measure_size(model: nn.Module, shape: Sequence[int], batch_size: int) -> Size:
    """The size of a model on the meta device, for items of a shape."""
    from torch.utils.flop_counter import (
        FlopCounterMode,
    )  # a quarter of a second, because it imports triton

    parameter_storages = {_storage_id(parameter) for parameter in model.parameters()}
    noise = Noise(0, torch.device("meta"))
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[_storage_id(tensor)] = tensor.untyped_storage().nbytes()  # views of one count once
        return tensor

    with FlopCounterMode(display=False) as counter:
        model(Batch(torch.empty(1, *shape, device="meta")), noise=noise)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        model(Batch(torch.empty(batch_size, *shape, device="meta")), noise=noise)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    memory = sum(size for storage, size in saved.items() if storage not in parameter_storages)
    return Size(parameters, counter.get_total_flops() // 2, memory)


def _storage_id(tensor: Tensor) -> int:
    """Identifies a storage; on the meta device, storages have no addresses."""
    identifier: int = tensor.untyped_storage()._cdata
    return identifier
