"""Images in `.npy` files, by the rules of arrays.py: bytes, or floats in [0, 1], or a range."""

from io import BufferedReader
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.array_files import IMAGE_TYPES, VALID_IMAGES, require_valid_values, to_native
from vae_cli.data.arrays import channels_first
from vae_cli.data.indexed_shards import IndexedShards
from vae_cli.data.memory import CUT_SHORT, MappedFile, read_header
from vae_cli.data.shard_files import ShardFile
from vae_cli.data.shard_index import ShardIndex, make_index
from vae_cli.data.value_range import UNIT, Limits, scale_to_unit
from vae_cli.errors import UsageError, mark

IMAGE_AXES = (3, 4)  # of an array of images


def index_array(opened: BufferedReader, file: ShardFile) -> ShardIndex:
    """The index of a `.npy` file, of which only the header is read.

    Raises:
        UsageError: it is damaged or cut short, or does not hold images.
    """
    try:
        array = _map(opened)
    except (ValueError, OSError) as error:
        raise UsageError(f"cannot read {file.path}: {error}") from error
    if array.ndim not in IMAGE_AXES:
        raise UsageError(f"{file.path} holds no images: shards of vectors are not read")
    first = channels_first(to_native(array[:1], file.path), file.path)
    keys = [f"[{row}]" for row in range(len(array))]
    return make_index(file, keys, shape=list(first.shape[1:]), dtype=str(array.dtype))


def _map(opened: BufferedReader) -> "np.memmap[Any, Any]":
    """The array in an open file.

    Raises:
        ValueError: it is no such file, or is cut short.
    """
    opened.seek(0)
    dtype, shape, order = read_header(opened)
    try:
        return np.memmap(opened, dtype, "r", opened.tell(), shape, order)
    except ValueError as error:
        raise ValueError(CUT_SHORT) from error


def choose_limits(dtype: str, limits: Limits | None, source: object) -> Limits | None:
    """The range of images with a type of number; None if it is that of the type.

    Raises:
        UsageError: the type needs one, and none is given.
    """
    if dtype == "bool":
        return UNIT  # a bit is black or white in every range
    known = {str(kind).removeprefix("torch.") for kind in IMAGE_TYPES}
    if limits is None and np.dtype(dtype).newbyteorder("=").name not in known:
        raise UsageError(
            f"{source} holds {dtype}: {VALID_IMAGES}; {mark('data.range=LOW:HIGH')} says what is "
            "black and white"
        )
    return limits


@final
class OpenArray:
    """A `.npy` file that is memory-mapped."""

    def __init__(self, opened: BufferedReader) -> None:
        self.opened, self.array, self.watched = opened, _map(opened), MappedFile(opened)

    def take(self, places: Tensor) -> "np.ndarray[Any, Any]":
        """A copy of some items.

        Raises:
            ChangedDataError: somebody has changed the file.
        """
        self.watched.require_unchanged()
        items: np.ndarray[Any, Any] = self.array[places.numpy()]
        return items

    def close(self) -> None:
        """Close the file; the memory map ends with the last look at it."""
        self.opened.close()


@final
class ArrayShards(IndexedShards[OpenArray]):
    """Images in `.npy` files of one shape.

    Args:
        limits: the values of black and white; None means those of the type of number.
        known: as those of `IndexedShards`.
    """

    def __init__(self, limits: Limits | None, **known: Any) -> None:
        is_byte = limits is None and known["indexes"][0].facts["dtype"] == "uint8"
        dtype = torch.uint8 if is_byte else torch.float32
        super().__init__(**known, dtype=dtype, reading=limits)
        self.limits = limits

    def _open_shard(self, shard: int) -> OpenArray:
        return OpenArray(self.files[shard].open())

    def read(self, shard: int, places: Tensor) -> Tensor:
        """Some images of a shard that is prepared, `(n, C, H, W)`: bytes or float32.

        Raises:
            UsageError: a value is out of range.
            ChangedDataError: somebody has changed the file.
        """
        path = self.files[shard].path
        items = channels_first(to_native(self._open[shard].take(places), path), path)
        limits = self.limits
        if items.is_floating_point():
            _require_valid(items, places, None if limits else UNIT, path)
        if limits is None:
            return items.to(self.dtype).contiguous()
        return torch.from_numpy(scale_to_unit(items.numpy(), limits)).float()


def _require_valid(items: Tensor, places: Tensor, limits: Limits | None, path: str) -> None:
    """Check the values of floats; the message names the row in the file.

    Raises:
        UsageError: a value is out of range, or no finite number.
    """
    low, high = limits or (-torch.inf, torch.inf)
    is_valid = ((items >= low) & (items <= high) & items.isfinite()).flatten(1).all(1)
    for row in (~is_valid).nonzero()[:1, 0].tolist():
        require_valid_values(items[row : row + 1], path, int(places[row]), limits=limits)
