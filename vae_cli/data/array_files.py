"""Array files (`.npy`, `.npz`, `.safetensors`), and which values are images or rows.

Files are never unpickled, and within a budget. Large `.npy` and `.safetensors` files are
memory-mapped, so they may be larger than memory; smaller ones are read, and `.npz` is unpacked.

The values of images are scaled to [0, 1]: bytes from 0 to 255, floats as they are, and any other
number from the limits that are black and white.
"""

import os
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

from vae_cli.data.batches import wrap_array
from vae_cli.data.memory import (
    MappedFile,
    fits_budget,
    fits_memory,
    read_array,
    require_memory,
)
from vae_cli.data.value_range import (
    UNIT,
    Limits,
    OutsideRangeError,
    Values,
    advise_on_darkness,
    explain_masks,
    explain_outside,
    require_span,
    scale_to_unit,
)
from vae_cli.errors import UsageError, VAEWarning, list_some
from vae_cli.files import open_file

ITEM_NAMES = ("images", "imgs", "x", "data", "arr_0")  # which array to take if a file has several
LABEL_NAMES = ("labels", "y", "targets")
FACTOR_ARRAYS = ("factors", "latents_values", "latents_classes")  # the last two of dSprites
FACTOR_NAMES = "factor_names"  # an array of texts, or in the metadata of a .safetensors file
PARTS = (("train",), ("test",), ("val", "valid", "validation"))  # x_train, or train_images
MAX_NAMED = 10  # arrays in one message
PICKLED = "it holds Python objects, which are never read: save numbers, or texts with .astype(str)"
REASONS = {  # a part of the message of a library, and what to tell a user instead
    "Python objects": PICKLED,
    "allow_pickle": PICKLED,
    "context manager": "it is not a .npz file",
}
CHUNK_ITEMS = 4096  # items that are read together
WIDER = {  # types for which torch lacks operations, and types that have them
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.uint64: torch.float64,
    torch.bfloat16: torch.float32,
}
FLOAT_TYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
IMAGE_TYPES = {torch.uint8} | FLOAT_TYPES
ROW_TYPES = {torch.int8, torch.int16, torch.int32, torch.int64} | IMAGE_TYPES | WIDER.keys()
SCALED_TYPES = {torch.bool} | ROW_TYPES  # of images with a range of values
WHITE = 255  # of bytes
FINITE = float(np.finfo(np.float64).max)
VALID_IMAGES = "images are uint8, or floats in [0, 1]"


class ArrayPart(NamedTuple):
    """The arrays of one part of a data set.

    Attributes:
        items: of any shape and any type of number.
        labels: what the file has under a name for labels; None if it has nothing.
        file: that the items are memory-mapped from; None if they are in memory.
        factors: what the file has under a name for factors; None if it has nothing.
        factors_from: this name; empty if it has none.
        factor_names: what the file calls them; empty if it does not say.
    """

    items: Tensor
    labels: np.ndarray | None
    file: MappedFile | None = None
    factors: np.ndarray | None = None
    factors_from: str = ""
    factor_names: tuple[str, ...] = ()


class _Names(NamedTuple):
    items: str
    labels: str | None
    factors: str | None


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
                titles = file[FACTOR_NAMES].ravel() if FACTOR_NAMES in file.files else ()
                return [
                    ArrayPart(
                        to_native(file[items], path),
                        file[labels] if labels else None,
                        factors=file[factors] if factors else None,
                        factors_from=factors or "",
                        factor_names=tuple(map(str, titles)),
                    )
                    for items, labels, factors in chosen
                ]
        case ".safetensors":
            return _read_safetensors(path)
        case suffix:
            raise UsageError(f"{path}: {suffix} is no file of arrays")


def _read_safetensors(path: Path) -> list[ArrayPart]:
    with ExitStack() as stack:
        opened = stack.enter_context(open_file(path))
        watched = None
        if fits_memory(os.fstat(opened.fileno()).st_size):
            tensors = load(opened.read())
            names, get = list(tensors), tensors.__getitem__
        else:
            watched = MappedFile(opened)
            file = stack.enter_context(safe_open(path, "pt"))
            names, get = file.keys(), file.get_tensor
        return [
            ArrayPart(
                get(items),
                _to_numpy(get(labels)) if labels else None,
                watched,
                _to_numpy(get(factors)) if factors else None,
                factors or "",
                _factor_names(path) if factors or labels else (),
            )
            for items, labels, factors in _choose(names, path)
        ]


def _factor_names(path: Path) -> tuple[str, ...]:
    """The names of the factors, between commas in the metadata of the file; empty without them."""
    with safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get(FACTOR_NAMES, "")
    return tuple(name.strip() for name in text.split(",")) if text else ()


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
        return [
            _Names(name, find(LABEL_NAMES, form), find(FACTOR_ARRAYS, form))
            for form, name in found[:1]
        ]

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
    return [_Names(next(iter(names)), None, None)]


def read_chunks(
    items: Tensor, found: list[Values], file: MappedFile | None = None
) -> Iterator[np.ndarray]:
    """The items, some at a time; the smallest and the largest value of each chunk are appended.

    Raises:
        ChangedDataError: somebody has changed the file that the items are memory-mapped from.
    """
    for some in items.split(CHUNK_ITEMS):
        if file is not None:
            file.require_unchanged()
        array = some.contiguous().numpy()
        found.append(Values(float(array.min()), float(array.max())))
        yield array


def measure_limits(items: Tensor, rows: Tensor, source: object) -> Limits:
    """The smallest and the largest value of some images of an array.

    Raises:
        UsageError: they are equal, or a value is no finite number.
    """
    found: list[Values] = []
    for some in rows.split(CHUNK_ITEMS):
        for array in read_chunks(items[some], found):
            require_valid_values(torch.from_numpy(array), source, limits=None)
    return require_span(found, source)


def choose_limits(parts: Sequence[Tensor], values: Values, source: object) -> Limits | None:
    """The range of a data set for which none is given; None if it is that of its type.

    Whole numbers that are only 0 and 1 are masks: black and white.

    Args:
        parts: images `(N, C, H, W)` of one type of number.
        values: the smallest and the largest one of them.
        source: where they come from, for messages.

    Raises:
        UsageError: they are neither bytes nor floats in [0, 1].
    """
    items = parts[0]
    if items.dtype == torch.bool:
        return UNIT
    if values == UNIT and items.dtype not in FLOAT_TYPES:
        warnings.warn(VAEWarning(explain_masks(source)), stacklevel=2)
        return UNIT
    if items.dtype not in IMAGE_TYPES:
        message = f"{source} holds {type_name(items)}: {VALID_IMAGES}"
        raise OutsideRangeError(message, values).with_remedy()
    try:
        require_valid(parts, values, source)
    except OutsideRangeError as error:
        raise OutsideRangeError(error.message, values).with_remedy() from error
    if hint := advise_on_darkness(values, 1 if items.dtype in FLOAT_TYPES else WHITE):
        warnings.warn(VAEWarning(f"{source}: {hint}"), stacklevel=2)
    return None


def scale_images(
    items: Tensor, limits: Limits, source: object, *, may_be_bytes: bool = False
) -> Tensor:
    """Images of any type of number as float32 in [0, 1], with the limits as black and white.

    A warning counts the items with values beyond the limits, which become black or white.

    Args:
        items: images `(N, C, H, W)`.
        limits: the values of black and of white.
        source: where they come from, for messages.
        may_be_bytes: whether images of whole numbers that are black and white may be uint8, of 0
            and 255, where float32 would take too much memory: those of dSprites take 3 GiB then.

    Raises:
        UsageError: a value is no finite number, or the result would be too large.
    """
    limits = UNIT if items.dtype == torch.bool else limits  # a bit is black or white in every range
    is_mask = limits == UNIT and items.dtype not in FLOAT_TYPES
    as_bytes = may_be_bytes and is_mask and not fits_budget(4 * items.numel())
    dtype, white = (torch.uint8, WHITE) if as_bytes else (torch.float32, 1)
    require_memory(dtype.itemsize * items.numel(), source)
    scaled, outside, start = torch.empty(items.shape, dtype=dtype), 0, 0
    for array in read_chunks(items, []):
        if array.dtype.kind == "f":
            require_valid_values(torch.from_numpy(array), source, start, limits=None)
        wrong = ((array < limits[0]) | (array > limits[1])).any((1, 2, 3))
        outside += int(wrong.sum())
        scaled[start : start + len(array)] = torch.from_numpy(white * scale_to_unit(array, limits))
        start += len(array)
    if outside:
        warnings.warn(explain_outside(outside, len(items), limits, source), stacklevel=2)
    return scaled


def require_valid(parts: Sequence[Tensor], values: Values, source: object) -> None:
    """Check that images are bytes, or floats in [0, 1], and that the numbers of rows are finite.

    Args:
        parts: images `(N, C, H, W)` or rows `(N, D)`, of one type of number.
        values: the smallest and the largest one of them, by which they are read again only if one
            of them is wrong.
        source: where they come from, for the error message.

    Raises:
        UsageError: they are not.
    """
    is_image = parts[0].ndim > 2  # noqa: PLR2004
    with_supported_type(parts[0][:0], source, is_image=is_image)
    limits = UNIT if is_image else (-FINITE, FINITE)
    if parts[0].dtype in FLOAT_TYPES and not values.lie_in(limits):
        for items in parts:
            for start in range(0, len(items), CHUNK_ITEMS):
                require_valid_values(items[start : start + CHUNK_ITEMS], source, start)


def require_valid_values(
    items: Tensor, source: object, first_row: int = 0, limits: Limits | None = UNIT
) -> None:
    """Check that pixels are in [0, 1] if they are floats, and that all other values are finite.

    Args:
        items: images `(N, C, H, W)`, or rows `(N, D)`.
        source: where they come from, for the error message.
        first_row: the row of the first item in the source.
        limits: of pixels; None checks only that they are finite.

    Raises:
        OutsideRangeError: a value is out of range; the message gives its place.
    """
    if not items.is_floating_point():
        return
    is_image = items.ndim > 2  # noqa: PLR2004
    wrong, wanted = ~items.isfinite(), "finite"
    if is_image and limits:
        wrong |= (items < limits[0]) | (items > limits[1])
        wanted = f"in [{limits[0]:g}, {limits[1]:g}]"
    if wrong.any():
        row, *place = wrong.nonzero()[0].tolist()
        value = float(items[row, *place])
        where = f"row {first_row + row}, {'pixel' if is_image else 'column'} {place}"
        message = f"{source}: {value} at {where} is not {wanted}"
        raise OutsideRangeError(message, Values(value, value))


def with_supported_type(items: Tensor, source: object, *, is_image: bool) -> Tensor:
    """Items with a type of number that this package computes with.

    This is the one rule for files and for the API: images are uint8 from 0 to 255, or floats in
    [0, 1]; rows of a table are any real numbers except bool. Types for which torch lacks
    operations become wider ones with the same values.

    Raises:
        UsageError: the items have another type, or the wider ones would be too large.
    """
    name = type_name(items)
    if is_image and items.dtype not in IMAGE_TYPES:
        raise UsageError(f"{source} holds {name}: {VALID_IMAGES}; convert it first")
    if items.dtype not in ROW_TYPES:
        raise UsageError(f"{source} holds {name}: vectors are of real numbers; convert it first")
    return widen(items, source)


def widen(items: Tensor, source: object) -> Tensor:
    """Items in a type for which torch has all operations, with the same values.

    Raises:
        UsageError: they would be too large.
    """
    wider = WIDER.get(items.dtype)
    if wider is None:
        return items
    require_memory(items.numel() * wider.itemsize, source)
    return items.to(wider)


def type_name(items: Tensor) -> str:
    """The name of the type of number."""
    return str(items.dtype).removeprefix("torch.")
