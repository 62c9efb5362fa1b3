"""Batches are gathered from memory: no worker processes, no Python per image."""

import torch
from torch import Tensor

CPU = torch.device("cpu")


def permutation(count: int, *, seed: int, epoch: int, device: torch.device = CPU) -> Tensor:
    """The order in which an epoch visits the images: int64 `(count,)`, each index once.

    A pure function of its arguments, so that a run can be taken up anywhere.
    """
    generator = torch.Generator(device).manual_seed((seed + epoch * 0x9E3779B97F4A7C15) % 2**63)
    return torch.randperm(count, generator=generator, device=device)


def gather(images: Tensor, indices: Tensor) -> Tensor:
    """The images at `indices`, scaled from 0..255 to [0, 1].

    Args:
        images: uint8 `(N, C, H, W)`.
        indices: int64 `(B,)` on the same device.

    Returns:
        float32 `(B, C, H, W)`.
    """
    return unit_interval(images[indices])


def unit_interval(images: Tensor) -> Tensor:
    """Images of uint8 scaled from 0..255 to [0, 1] in float32."""
    return images.float().div_(255)
