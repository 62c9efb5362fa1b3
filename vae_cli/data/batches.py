"""How items are divided into batches: the order of an epoch, and the sizes of batches and chunks.

`split.py` gathers them. A chunk is as many items as are gathered or decoded together, so that
neither the memory nor the cost of a call matters.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_cli.noise import derive_seed

CPU = torch.device("cpu")
MAX_CHUNK_VALUES = 2**22  # 16 MiB of float32
CHUNK_ITEMS = 1024  # enough items that the cost of a call does not matter


def permutation(count: int, *, seed: int, epoch: int, device: torch.device = CPU) -> Tensor:
    """The order in which an epoch visits the items: int64 `(count,)`, each index once.

    It depends on its arguments only, so a run can be resumed at any point.
    """
    generator = torch.Generator(device).manual_seed(derive_seed(seed, "order", epoch))
    return torch.randperm(count, generator=generator, device=device)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """The number of batches in `count` items; the last one may be smaller."""
    return -(-count // batch_size)


def to_unit_interval(items: Tensor) -> Tensor:
    """Items in float32; bytes are scaled from 0..255 to [0, 1], floats keep their values."""
    return items.float().div_(255) if items.dtype == torch.uint8 else items.float()


def chunk_length(shape: Sequence[int], limit: int = CHUNK_ITEMS) -> int:
    """How many items of a shape to process together: at most `limit`, fewer if they are large."""
    return max(1, min(limit, MAX_CHUNK_VALUES // math.prod(shape)))


def batches_per_chunk(shape: Sequence[int], size: int) -> int:
    """How many batches of so many items to gather and encode together: at least one."""
    return max(1, chunk_length(shape) // size)


def wrap_array(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the memory of an array, which may be read-only.

    torch warns about read-only arrays because it could write to them; this package never does.
    """
    with warnings.catch_warnings(action="ignore"):
        return torch.from_numpy(array)
