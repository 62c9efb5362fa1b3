"""The arrays that the API takes and returns."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.array_files import to_native
from vae_cli.errors import UsageError

Array = np.ndarray[Any, np.dtype[Any]]


class Posterior(NamedTuple):
    """q(z|x) of some items.

    Attributes:
        mean: `(N, D)`.
        log_variance: `(N, D)`, the logarithm of the variance.
    """

    mean: Array
    log_variance: Array


def to_tensor(items: ArrayLike) -> Tensor:
    """A tensor of numbers; tensors are returned as they are, and arrays share their memory.

    Which types of number a model takes is decided by `data.array_values.with_supported_type`.

    Raises:
        UsageError: they are not numbers.
    """
    if isinstance(items, Tensor):
        return items
    array = np.asarray(items)
    if array.dtype.kind not in "buif":
        raise UsageError(f"items are arrays of numbers, not {type(items).__name__}")
    return to_native(array, "the array")


def to_latents(z: ArrayLike, dims: int) -> Tensor:
    """Latents `(N, D)`, or one `(D,)`, as float32 `(N, D)`.

    Raises:
        UsageError: they have another shape.
    """
    latents = torch.tensor(np.asarray(z, np.float32))
    if latents.shape[-1:] != (dims,) or latents.ndim > 2:  # noqa: PLR2004
        shape = "x".join(map(str, latents.shape))
        raise UsageError(f"latents of {shape}: this model has {dims} dimensions")
    return latents.reshape(-1, dims)


def to_array(*parts: Tensor) -> Array:
    """The parts joined along their first axis, as one array."""
    joined: Array = torch.cat(parts).cpu().numpy()
    return joined
