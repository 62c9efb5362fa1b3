"""Arrays in `.npy` files: read into memory, or memory-mapped if they are large.

A process that touches a memory map whose file was cut short is killed by the system (SIGBUS), and
one whose file is written again computes with two data sets. So only what is too large to be read is
mapped, and its file is looked at before each chunk that is gathered from it.
"""

import math
import os
import weakref
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from vae_cli.errors import ChangedDataError
from vae_cli.files import open_file

IN_MEMORY = 2**29  # bytes of an array that is read and not mapped
CUT_SHORT = "it is cut short"
HEADERS = {  # by the version of the format; only types with named fields need a later one
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


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

    def require_unchanged(self) -> None:
        """Check that nobody has written to the file.

        Raises:
            ChangedDataError: somebody has.
        """
        if facts_of(self.handle) != self.facts:
            raise ChangedDataError(
                f"{self.name} was changed while it was in use: start again when it is complete"
            )


def is_read(size: int) -> bool:
    """Whether an array of so many bytes is read into memory, and not memory-mapped."""
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
        if not is_read(count * dtype.itemsize):
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
