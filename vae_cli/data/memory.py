"""What data may cost at most, and arrays that are too large to be in memory.

The cost is checked before memory is taken, so a small file stays small. Arrays in `.npy` files are
read into memory, or memory-mapped if they are large. A process that touches a memory map whose file
was cut short is killed by the system (SIGBUS), and one whose file is written again computes with
two data sets. So only what is too large to be read is mapped, and its file is looked at before each
chunk that is gathered from it.
"""

import math
import os
import weakref
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from vae_cli.errors import ChangedDataError, UsageError
from vae_cli.files import open_file

MAX_MEMORY = 4 * 2**30  # bytes of the values of a data set that is not memory-mapped
MAX_ITEMS = 100_000_000  # of a data set; each takes 24 bytes while they are divided
MAX_COLUMNS = 100_000  # of a table; a checkpoint keeps their names
MAX_CLASSES = 100_000  # their names are kept in every checkpoint
IN_MEMORY = 2**29  # bytes of an array that is read and not mapped
CUT_SHORT = "it is cut short"
HEADERS = {  # by the version of the format; only types with named fields need a later one
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def fits_budget(size: int) -> bool:
    """Whether the values of a data set, of a size in bytes, may be in memory."""
    return size <= MAX_MEMORY


def require_memory(size: int, source: object) -> None:
    """Check that the values of a data set fit into memory.

    Args:
        size: in bytes.
        source: where they come from, for the error message.

    Raises:
        UsageError: they are larger than the budget.
    """
    if not fits_budget(size):
        raise UsageError(
            f"{source} would take {size / 2**30:,.1f} GiB of memory, more than "
            f"{MAX_MEMORY >> 30} GiB: save uint8 or float32 as .npy, which is read from the disk"
        )


def require_items(count: int, source: object) -> None:
    """Check the number of items of a data set.

    Raises:
        UsageError: there are none, or more than are allowed.
    """
    if count == 0:
        raise UsageError(f"{source} holds no items")
    if count > MAX_ITEMS:
        raise UsageError(f"{source} holds {count:,} items: at most {MAX_ITEMS:,} are taken")


@final
class MappedFile:
    """A file that is memory-mapped, as it was when it was opened.

    Args:
        file: is held open, because another file may get its name.
    """

    def __init__(self, file: BufferedReader) -> None:
        self.name, self.handle = file.name, os.dup(file.fileno())
        self.facts = facts_of(self.handle)
        weakref.finalize(self, os.close, self.handle)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process on this machine opens the file by itself (`sharing.py`)."""
        return _open_again, (self.name, self.facts)

    def require_unchanged(self) -> None:
        """Check that nobody has written to the file.

        Raises:
            ChangedDataError: somebody has.
        """
        if facts_of(self.handle) != self.facts:
            raise ChangedDataError(
                f"{self.name} was changed while it was in use: start again when it is complete"
            )


def _open_again(name: str, facts: tuple[int, int]) -> MappedFile:
    """A file that another process has memory-mapped.

    Raises:
        ChangedDataError: somebody has changed it since then.
    """
    with open_file(name) as file:
        watched = MappedFile(file)
    watched.facts = facts
    watched.require_unchanged()
    return watched


def fits_memory(size: int) -> bool:
    """Whether an array of this size in bytes is read into memory, and not memory-mapped."""
    return size <= IN_MEMORY


def facts_of(handle: int) -> tuple[int, int]:
    """The size of an open file, and the time of its last change in nanoseconds."""
    facts = os.fstat(handle)
    return facts.st_size, facts.st_mtime_ns


def read_array(path: Path) -> tuple[np.ndarray[Any, Any], MappedFile | None]:
    """The array in a `.npy` file, and the file if it is memory-mapped.

    Raises:
        UsageError: it is a pipe, a socket or a device.
        OSError: it cannot be opened.
        ValueError: it is not such a file, is cut short, or holds no numbers.
    """
    with open_file(path) as file:
        dtype, shape, order = read_header(file)
        start, count = file.tell(), math.prod(shape)
        if start + count * dtype.itemsize > facts_of(file.fileno())[0]:
            raise ValueError(CUT_SHORT)
        if not fits_memory(count * dtype.itemsize):
            watched = MappedFile(file)
            return np.memmap(file, dtype, "r", start, shape, order), watched
        array = np.fromfile(file, dtype, count)
    if len(array) < count:
        raise ValueError(CUT_SHORT)
    return array.reshape(shape, order=order), None


def map_array(path: Path) -> "np.memmap[Any, Any]":
    """The array in a `.npy` file of our own, which is only replaced as a whole: memory-mapped.

    Raises:
        UsageError: it is a pipe, a socket or a device.
        OSError: it cannot be opened.
        ValueError: it is not such a file, is cut short, or holds no numbers.
    """
    with open_file(path) as file:
        dtype, shape, order = read_header(file)
        return np.memmap(file, dtype, "r", file.tell(), shape, order)


def read_header(
    file: BufferedReader,
) -> tuple[np.dtype[Any], tuple[int, ...], Literal["F", "C"]]:
    """The type, the shape and the order of an array, after whose header the file is then.

    Raises:
        ValueError: it is not a `.npy` file, or holds no numbers.
    """
    read = HEADERS.get(np.lib.format.read_magic(file))
    if read is None:
        raise ValueError("its version of the format is not for numbers")
    shape, is_fortran, dtype = read(file)
    if min(shape, default=0) < 0:
        raise ValueError("its header is damaged")
    if dtype.hasobject:
        raise ValueError("Python objects cannot be read")
    return dtype, shape, "F" if is_fortran else "C"
