"""The arrays in `.npy`, `.npz` and `.safetensors` files: never unpickled, and within a budget.

`.npy` and `.safetensors` are memory-mapped, so they may be larger than memory; `.npz` is unpacked.
"""

import warnings
from collections.abc import Collection
from pathlib import Path

import numpy as np
from safetensors import safe_open
from torch import Tensor

from vae_cli.data.batches import wrap_array
from vae_cli.data.budget import require_memory
from vae_cli.errors import UsageError
from vae_cli.files import open_file

ITEM_NAMES = ("images", "x", "data", "arr_0")  # which array to take if a file has several
LABEL_NAMES = ("labels", "y", "targets")
REASONS = {  # a part of the message of a library, and what to tell a user instead
    "Python objects": "it holds Python objects, not numbers",
    "allow_pickle": "it holds Python objects, not numbers",
    "mmap length": "it is cut short",
    "context manager": "it is not a .npz file",
}


def read_array_file(path: Path) -> tuple[Tensor, Tensor | None]:
    """The array of the items in a file, and the array of their labels if there is one.

    Raises:
        UsageError: the file is missing, damaged or too large, or does not tell which array to take.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # NumPy warns about shapes that overflow
            arrays = _read(path)
    except UsageError:
        raise
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except Exception as error:  # whatever a library raises is about the file
        message = str(error).splitlines()[0] if str(error) else "it is damaged"
        reason = next((ours for theirs, ours in REASONS.items() if theirs in message), message)
        raise UsageError(f"cannot read {path}: {reason}") from error
    items, *labels = arrays
    return items, labels[0] if labels else None


def to_native(array: np.ndarray, source: object) -> Tensor:
    """A tensor over the memory of an array, which is copied only if torch lacks its type.

    Raises:
        UsageError: the copy would be too large.
        TypeError: the array does not hold numbers.
    """
    dtype = array.dtype.newbyteorder("=")
    dtype = np.dtype(np.float64) if dtype == np.longdouble else dtype
    if dtype != array.dtype:
        require_memory(array.size * dtype.itemsize, source)
    return wrap_array(np.asarray(array, dtype=dtype))


def _read(path: Path) -> list[Tensor]:
    match path.suffix.lower():
        case ".npy":
            return [to_native(np.lib.format.open_memmap(path, mode="r"), path)]
        case ".npz":
            with open_file(path) as opened, np.load(opened, allow_pickle=False) as file:
                names = _choose(file.files, path)
                members = file.zip.infolist()
                chosen = [m for m in members if m.filename.removesuffix(".npy") in names]
                require_memory(sum(member.file_size for member in chosen), path)
                return [to_native(file[name], path) for name in names]
        case _:
            with safe_open(path, "pt") as file:
                return [file.get_tensor(name) for name in _choose(file.keys(), path)]


def _choose(names: Collection[str], path: Path) -> list[str]:
    """The names of the items and, if there are any, of the labels.

    Raises:
        UsageError: several arrays may be the items, or none.
    """
    known = [name for name in ITEM_NAMES if name in names]
    if len(names) != 1 and not known:
        raise UsageError(
            f"{path} holds {', '.join(names) or 'nothing'}: name one array {ITEM_NAMES[0]}"
        )
    items = next(iter(names)) if len(names) == 1 else known[0]
    return [items, *[name for name in LABEL_NAMES if name in names and name != items][:1]]
