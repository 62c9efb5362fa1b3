"""Arrays in `.npy` files, memory-mapped."""

from pathlib import Path
from typing import Literal

import numpy as np

from vae_cli.files import open_file

HEADERS = {  # by the version of the format; only types with named fields need a later one
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def map_array(path: Path) -> np.memmap:
    """The array in a `.npy` file, read when it is used.

    `np.load` would wait for a pipe in the place of the file.

    Raises:
        UsageError: it is a pipe, a socket or a device.
        OSError: it cannot be opened.
        ValueError: it is not such a file, is cut short, or holds no numbers.
    """
    with open_file(path) as file:
        read_header = HEADERS.get(np.lib.format.read_magic(file))
        if read_header is None:
            raise ValueError("its version of the format is not for numbers")
        shape, is_fortran, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError("Python objects cannot be memory-mapped")
        order: Literal["F", "C"] = "F" if is_fortran else "C"
        return np.memmap(file, dtype, "r", file.tell(), shape, order)
