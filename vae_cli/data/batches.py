"""Batches are gathered from memory: no worker processes, no Python per item."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vae_cli.data.dataset import Split

CPU = torch.device("cpu")
NUMBERS = 2**22  # in memory at a time: 16 MiB of float32


def permutation(count: int, *, seed: int, epoch: int, device: torch.device = CPU) -> Tensor:
    """The order in which an epoch visits the items: int64 `(count,)`, each index once.

    A pure function of its arguments, so that a run can be taken up anywhere.
    """
    generator = torch.Generator(device).manual_seed((seed + epoch * 0x9E3779B97F4A7C15) % 2**63)
    return torch.randperm(count, generator=generator, device=device)


def gather(items: Tensor, rows: Tensor) -> Tensor:
    """The items at `rows` in float32, bytes scaled from 0..255 to [0, 1].

    Args:
        items: `(M, ...)`, uint8 or floating point.
        rows: int64 `(B,)` on the same device.

    Returns:
        float32 `(B, ...)`.
    """
    return unit_interval(items.index_select(0, rows))


def at_once(shape: Sequence[int], most: int) -> int:
    """How many items of a shape to take at a time: up to `most`, fewer where they are large."""
    return max(1, min(most, NUMBERS // math.prod(shape)))


def unit_interval(items: Tensor) -> Tensor:
    """Items in float32; bytes scaled from 0..255 to [0, 1], floats as they are."""
    return items.float().div_(255) if items.dtype == torch.uint8 else items.float()


def moments(split: Split, chunk: int = 65_536) -> tuple[Tensor, Tensor]:
    """Each column's mean and standard deviation over the vectors of a split: float32 `(D,)`.

    A column that never changes gets a standard deviation of 1.
    """
    total = squares = torch.zeros(split.items.shape[1:], dtype=torch.float64)
    for rows in split.rows.split(chunk):
        total = total + split.items[rows].double().sum(0)
    mean = total / len(split)
    for rows in split.rows.split(chunk):
        squares = squares + (split.items[rows].double() - mean).square().sum(0)
    scale = (squares / len(split)).sqrt().float()
    return mean.float(), torch.where(scale > 0, scale, 1.0)
