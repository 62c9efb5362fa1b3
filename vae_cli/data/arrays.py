"""Arrays in files, memory-mapped where the format allows it, and never unpickled.

`(N, H, W)`, `(N, H, W, C)` and `(N, C, H, W)` are images, uint8 or floats in [0, 1]; `(N, D)` are
rows of any real numbers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vae_cli.data.batches import wrap_array
from vae_cli.data.dataset import Spec, Split, UndividedDataset
from vae_cli.data.held_out import divide
from vae_cli.data.table import default_columns
from vae_cli.errors import UsageError

ITEM_NAMES = ("images", "x", "data", "arr_0")  # which array to take if a file has several
LABEL_NAMES = ("labels", "y", "targets")
CHANNELS = range(1, 5)
REASONS = {  # NumPy's message, and what to tell a user instead
    "Python objects": "it holds Python objects, not numbers",
    "allow_pickle": "it holds Python objects, not numbers",
    "mmap length": "it is cut short",
}
CHUNK_ITEMS = 4096  # items that are read together


@final
class Arrays(UndividedDataset):
    """The images or rows in an array file.

    Args:
        path: ends in `.npy`, `.npz` or `.safetensors`.
        test_fraction: the expected share of the items that is held out, by their contents.

    Raises:
        UsageError: the file is missing, damaged, or does not hold images or rows.
    """

    def __init__(self, path: Path, *, test_fraction: float) -> None:
        self.items, labels = read_arrays(path)
        known = labels.shape == (len(self.items),) and not labels.is_floating_point()
        self.labels = labels.long() if known else torch.empty(0, dtype=torch.int64)
        if known and (self.labels.min() < 0 or self.labels.max() >= len(self.items)):
            raise UsageError(f"{path}: labels must count from 0")
        classes = [str(label) for label in range(int(self.labels.max()) + 1)] if known else []
        shape = tuple(self.items.shape[1:])
        columns = default_columns(shape[0]) if len(shape) == 1 else ()
        self.spec = Spec(path.stem, shape, tuple(classes), columns=columns, cropped=True)
        self.path, self.test_fraction = path, test_fraction

    def divide(self) -> tuple[Split, Split]:
        """Divide the items by a hash of their contents.

        Raises:
            UsageError: a value is out of range, or one of the parts would be empty.
        """
        keys = read_validated(self.items, self.path)
        train, test = (
            Split(self.items, rows, self.labels[rows] if len(self.labels) else self.labels)
            for rows in divide(keys, self.test_fraction, self.spec.name)
        )
        return train, test


def read_arrays(path: Path) -> tuple[Tensor, Tensor]:
    """The items `(N, C, H, W)` or `(N, D)` in a file, and its labels `(N,)` or `(0,)`.

    Raises:
        UsageError: the file is missing, damaged, or does not hold images or rows.
    """
    arrays = _read(path)
    labels = next((arrays[name] for name in LABEL_NAMES if name in arrays), torch.empty(0))
    return _channels_first(_choose_items(arrays, path), path), labels


def fit_to_spec(items: Tensor, spec: Spec) -> Tensor:
    """Bring items, or a single one, to the shape of a spec: `(N, C, H, W)` or `(N, D)`.

    The channels of images may come last, or may be missing if there is only one.

    Raises:
        UsageError: the shape or the values are not those of the spec.
    """
    given = items.shape
    if spec.is_image:
        channels, height, width = spec.shape
        if channels == 1 and items.shape[-2:] == (height, width):
            items = items.reshape(-1, 1, height, width) if items.ndim < 4 else items  # noqa: PLR2004
        elif items.shape[-3:] == (height, width, channels) and items.shape[-3:] != spec.shape:
            items = items.movedim(-1, -3)
    if items.shape == spec.shape:
        items = items[None]
    if items.shape[1:] != spec.shape or not len(items):
        spec.require_shape(given, "the array")
    require_valid_values(items, "the array")
    return items


def read_validated(items: Tensor, path: Path) -> Iterator[bytes]:
    """The bytes of each item, after its values were validated.

    Raises:
        UsageError: a value is out of range.
    """
    for start in range(0, len(items), CHUNK_ITEMS):
        some = items[start : start + CHUNK_ITEMS]
        require_valid_values(some, path, start)
        yield from (row.tobytes() for row in some.contiguous().numpy())


def require_valid_values(items: Tensor, source: object, first_row: int = 0) -> None:
    """Check that pixels are in [0, 1] if they are floats, and that all other values are finite.

    Args:
        items: images `(N, C, H, W)`, or rows `(N, D)`.
        source: where they come from, for the error message.
        first_row: the row of the first item in the source.

    Raises:
        UsageError: a value is out of range; the message gives its place.
    """
    if not items.is_floating_point():
        return
    is_image = items.ndim > 2  # noqa: PLR2004
    wrong = ~items.isfinite()
    if is_image:
        wrong |= (items < 0) | (items > 1)
    if wrong.any():
        row, *place = wrong.nonzero()[0].tolist()
        value, wanted = float(items[row, *place]), "in [0, 1]" if is_image else "finite"
        where = f"row {first_row + row}, {'pixel' if is_image else 'column'} {place}"
        raise UsageError(f"{source}: {value} at {where} is not {wanted}")


def _read(path: Path) -> Mapping[str, Tensor]:
    """The arrays in a file by name."""
    try:
        match path.suffix.lower():
            case ".npy":
                return {"": _tensor(np.load(path, mmap_mode="r", allow_pickle=False))}
            case ".npz":
                with np.load(path, allow_pickle=False) as file:
                    return {name: _tensor(file[name]) for name in file.files}
            case _:
                with safe_open(path, "pt") as file:
                    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (OSError, ValueError, TypeError, EOFError, KeyError, SafetensorError) as error:
        message = str(error).splitlines()[0] if str(error) else "it is damaged"
        reason = next((ours for theirs, ours in REASONS.items() if theirs in message), message)
        raise UsageError(f"cannot read {path}: {reason}") from error


def _tensor(array: np.ndarray) -> Tensor:
    """A tensor over the array's memory, with the bytes of a number in the machine's order."""
    return wrap_array(np.asarray(array, dtype=array.dtype.newbyteorder("=")))


def _dtype_name(items: Tensor) -> str:
    return str(items.dtype).removeprefix("torch.")


def _choose_items(arrays: Mapping[str, Tensor], path: Path) -> Tensor:
    """The array that holds the items."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    for name in ITEM_NAMES:
        if name in arrays:
            return arrays[name]
    raise UsageError(
        f"{path} holds {', '.join(arrays) or 'nothing'}: name one array {ITEM_NAMES[0]}"
    )


def _channels_first(items: Tensor, path: Path) -> Tensor:
    """Images as `(N, C, H, W)`, rows as `(N, D)`, without a copy.

    Raises:
        UsageError: the shape or the type of number is neither.
    """
    shape = " x ".join(map(str, items.shape))
    if items.ndim == 2:  # noqa: PLR2004
        if items.is_complex() or items.dtype == torch.bool:
            raise UsageError(f"{path} holds {_dtype_name(items)}: vectors are of real numbers")
        return items
    if items.dtype != torch.uint8 and not items.is_floating_point():
        raise UsageError(
            f"{path} holds {_dtype_name(items)}: images are uint8, or floats in [0, 1]"
        )
    match items.shape:
        case [_, _, _]:
            return items[:, None]
        case [_, _, _, last] if last in CHANNELS:
            return items.permute(0, 3, 1, 2)
        case [_, first, _, _] if first in CHANNELS:
            return items
    raise UsageError(
        f"{path} is {shape}: images are N x H x W, N x H x W x C or N x C x H x W with 1 to 4 "
        "channels, vectors N x D"
    )
