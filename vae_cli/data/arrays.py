"""Arrays in files, mapped into memory where the format allows it, and never unpickled.

`(N, H, W)`, `(N, H, W, C)` and `(N, C, H, W)` are images, uint8 or floats in [0, 1]; `(N, D)` are
vectors of any numbers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vae_cli.data.cache import from_array
from vae_cli.data.dataset import Divided, Spec, Split
from vae_cli.data.split import divide
from vae_cli.data.table import unnamed
from vae_cli.errors import UsageError

SUFFIXES = (".npy", ".npz", ".safetensors")
ITEMS = ("images", "x", "data", "arr_0")  # of several arrays in a file, which to take
LABELS = ("labels", "y", "targets")
CHANNELS = range(1, 5)
REASONS = {  # what NumPy says, for a person
    "Python objects": "it holds Python objects, not numbers",
    "allow_pickle": "it holds Python objects, not numbers",
    "mmap length": "it is cut short",
}
AT_A_TIME = 4096  # items looked at together


@final
class Arrays(Divided):
    """The images or vectors in a file.

    Args:
        path: ends in `.npy`, `.npz` or `.safetensors`.
        test_fraction: the expected share of the items that is held out, by their contents.

    Raises:
        UsageError: the file is missing, damaged, or holds something else.
    """

    def __init__(self, path: Path, *, test_fraction: float) -> None:
        self.items, labels = read(path)
        known = labels.shape == (len(self.items),) and not labels.is_floating_point()
        self.labels = labels.long() if known else torch.empty(0, dtype=torch.int64)
        if known and (self.labels.min() < 0 or self.labels.max() >= len(self.items)):
            raise UsageError(f"{path}: labels must count from 0")
        classes = [str(label) for label in range(int(self.labels.max()) + 1)] if known else []
        shape = tuple(self.items.shape[1:])
        columns = unnamed(shape[0]) if len(shape) == 1 else ()
        self.spec = Spec(path.stem, shape, tuple(classes), columns=columns, cropped=True)
        self.path, self.test_fraction = path, test_fraction

    def divide(self) -> tuple[Split, Split]:
        """Tell the two parts by the items' contents.

        Raises:
            UsageError: an item's numbers are out of range, or one of the parts would be empty.
        """
        keys = contents(self.items, self.path)
        train, test = (
            Split(self.items, rows, self.labels[rows] if len(self.labels) else self.labels)
            for rows in divide(keys, self.test_fraction, self.spec.name)
        )
        return train, test


def read(path: Path) -> tuple[Tensor, Tensor]:
    """The items `(N, C, H, W)` or `(N, D)` in a file, and what it calls their labels.

    Raises:
        UsageError: the file is missing, damaged, or holds something else.
    """
    named = _open(path)
    labels = next((named[name] for name in LABELS if name in named), torch.empty(0))
    return _channels_first(_only(named, path), path), labels


def shaped(items: Tensor, spec: Spec) -> Tensor:
    """Items, or a single one, as a spec has them, `(N, C, H, W)` or `(N, D)`.

    Images may come with their channels last, or without where there is one.

    Raises:
        UsageError: they are not what the spec says, or not numbers.
    """
    given = items
    if len(spec.shape) == 3:  # noqa: PLR2004  channels, height and width
        channels, height, width = spec.shape
        if channels == 1 and items.shape[-2:] == (height, width):
            items = items.reshape(-1, 1, height, width) if items.ndim < 4 else items  # noqa: PLR2004
        elif items.shape[-3:] == (height, width, channels) and items.shape[-3:] != spec.shape:
            items = items.movedim(-1, -3)
    if items.shape == spec.shape:
        items = items[None]
    if items.shape[1:] != spec.shape or not len(items):
        found, learned = ("x".join(map(str, shape)) for shape in (given.shape, spec.shape))
        raise UsageError(f"items of {found}: {spec.name} is of {learned}")
    check(items, Path("the array"))
    return items


def contents(items: Tensor, path: Path) -> Iterator[bytes]:
    """Each item's bytes, after a look at its numbers.

    Raises:
        UsageError: one of them is out of range.
    """
    for start in range(0, len(items), AT_A_TIME):
        some = items[start : start + AT_A_TIME]
        check(some, path, start)
        yield from (row.tobytes() for row in some.contiguous().numpy())


def check(items: Tensor, path: Path, start: int = 0) -> None:
    """Refuse numbers that are not what they should be; `start` is the first item's row.

    Raises:
        UsageError: an image has floats outside [0, 1], or a vector something that is no number.
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
        where = f"row {start + row}, {'pixel' if is_image else 'column'} {place}"
        raise UsageError(f"{path}: {value} at {where} is not {wanted}")


def _open(path: Path) -> Mapping[str, Tensor]:
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
                    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (OSError, ValueError, TypeError, EOFError, KeyError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is damaged"
        reason = next((said for sign, said in REASONS.items() if sign in reason), reason)
        raise UsageError(f"cannot read {path}: {reason}") from error


def _tensor(array: np.ndarray) -> Tensor:
    """A tensor over the array's memory; numbers in the machine's own byte order."""
    return from_array(np.asarray(array, dtype=array.dtype.newbyteorder("=")))


def _named(items: Tensor) -> str:
    return str(items.dtype).removeprefix("torch.")


def _only(named: Mapping[str, Tensor], path: Path) -> Tensor:
    """The array that is meant."""
    if len(named) == 1:
        return next(iter(named.values()))
    for name in ITEMS:
        if name in named:
            return named[name]
    raise UsageError(f"{path} holds {', '.join(named) or 'nothing'}: name one array {ITEMS[0]}")


def _channels_first(items: Tensor, path: Path) -> Tensor:
    """Images as `(N, C, H, W)`, vectors as `(N, D)`; nothing is copied.

    Raises:
        UsageError: the shape or the numbers are neither.
    """
    shape = " x ".join(map(str, items.shape))
    if items.ndim == 2:  # noqa: PLR2004
        if items.is_complex() or items.dtype == torch.bool:
            raise UsageError(f"{path} holds {_named(items)}: vectors are of real numbers")
        return items
    if items.dtype != torch.uint8 and not items.is_floating_point():
        raise UsageError(f"{path} holds {_named(items)}: images are uint8, or floats in [0, 1]")
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
