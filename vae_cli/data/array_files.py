"""The arrays in `.npy`, `.npz` and `.safetensors` files: never unpickled, and within a budget.

Large `.npy` and `.safetensors` files are memory-mapped, so they may be larger than memory; smaller
ones are read, and `.npz` is unpacked.
"""

import os
import warnings
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

from vae_cli.data.batches import wrap_array
from vae_cli.data.budget import require_memory
from vae_cli.data.mapping import MappedFile, is_read, read_array
from vae_cli.errors import UsageError, list_some
from vae_cli.files import open_file

ITEM_NAMES = ("images", "x", "data", "arr_0")  # which array to take if a file has several
LABEL_NAMES = ("labels", "y", "targets")
PARTS = (("train",), ("test",), ("val", "valid", "validation"))  # x_train, or train_images
MAX_NAMED = 10  # arrays in one message
PICKLED = "it holds Python objects, which are never read: save numbers, or texts with .astype(str)"
REASONS = {  # a part of the message of a library, and what to tell a user instead
    "Python objects": PICKLED,
    "allow_pickle": PICKLED,
    "context manager": "it is not a .npz file",
}


class ArrayPart(NamedTuple):
    """The arrays of one part of a data set.

    Attributes:
        items: of any shape and any type of number.
        labels: what the file has under a name for labels; None if it has nothing.
        file: that the items are memory-mapped from; None if they are in memory.
    """

    items: Tensor
    labels: np.ndarray | None
    file: MappedFile | None = None


class _Names(NamedTuple):
    items: str
    labels: str | None


def read_array_file(path: Path) -> list[ArrayPart]:
    """The items in a file and their labels: one part, or a training set, a test set and others.

    Raises:
        UsageError: the file is missing, damaged or too large, or does not tell which array to take.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # NumPy warns about shapes that overflow
            return _read(path)
    except UsageError:
        raise
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except Exception as error:  # whatever a library raises is about the file
        message = str(error).splitlines()[0] if str(error) else "it is damaged"
        reason = next((ours for theirs, ours in REASONS.items() if theirs in message), message)
        raise UsageError(f"cannot read {path}: {reason}") from error


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


def _read(path: Path) -> list[ArrayPart]:
    match path.suffix.lower():
        case ".npy":
            array, watched = read_array(path)
            return [ArrayPart(to_native(array, path), None, watched)]
        case ".npz":
            with open_file(path) as opened, np.load(opened, allow_pickle=False) as file:
                chosen = _choose(file.files, path)
                names = {name for part in chosen for name in part}
                members = file.zip.infolist()
                sizes = [m.file_size for m in members if m.filename.removesuffix(".npy") in names]
                require_memory(sum(sizes), path)
                return [
                    ArrayPart(to_native(file[items], path), file[labels] if labels else None)
                    for items, labels in chosen
                ]
        case _:
            return _read_safetensors(path)


def _read_safetensors(path: Path) -> list[ArrayPart]:
    with ExitStack() as stack:
        opened = stack.enter_context(open_file(path))
        watched = None
        if is_read(os.fstat(opened.fileno()).st_size):
            tensors = load(opened.read())
            names, get = list(tensors), tensors.__getitem__
        else:
            watched = MappedFile(opened)
            file = stack.enter_context(safe_open(path, "pt"))
            names, get = file.keys(), file.get_tensor
        return [
            ArrayPart(get(items), _to_numpy(get(labels)) if labels else None, watched)
            for items, labels in _choose(names, path)
        ]


def _to_numpy(tensor: Tensor) -> np.ndarray:
    """The same numbers in a type that NumPy has, too."""
    numbers: np.ndarray = (tensor.double() if tensor.is_floating_point() else tensor).numpy()
    return numbers


def _choose(names: Collection[str], path: Path) -> list[_Names]:
    """The names of the items and, if there are any, of the labels, of one part or of each.

    Keras and scikit-learn write the part behind the name, and MedMNIST before it. The parts are for
    training, testing and validation, in this order.

    Raises:
        UsageError: several arrays may be the items, or none.
    """
    spelled = {name.lower(): name for name in names}

    def find(known: tuple[str, ...], form: str) -> str | None:
        return next((spelled[n] for one in known if (n := form.format(one)) in spelled), None)

    def take(*forms: str) -> list[_Names]:
        found = [(form, name) for form in forms if (name := find(ITEM_NAMES, form))]
        return [_Names(name, find(LABEL_NAMES, form)) for form, name in found[:1]]

    parts = take("{}")
    for words in () if parts else PARTS:
        parts += take(*(form for word in words for form in (f"{{}}_{word}", f"{word}_{{}}")))
    if parts:
        return parts
    if len(names) != 1:
        held = list_some(sorted(names), MAX_NAMED) or "nothing"
        raise UsageError(
            f"{path} holds {held}: name one array {ITEM_NAMES[0]}, or two x_train and x_test"
        )
    return [_Names(next(iter(names)), None)]
