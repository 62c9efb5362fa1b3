"""The folder for downloads and decoded pictures, and large tensors stored in it."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from torch import Tensor

from vae_cli.data.batches import wrap_array
from vae_cli.errors import VAEError
from vae_cli.files import write_bytes


def cache_folder() -> Path:
    """`VAE_DATA`, or else the platform's folder for caches; it is created if necessary.

    Raises:
        VAEError: it cannot be created.
    """
    path = Path(os.environ.get("VAE_DATA") or platformdirs.user_cache_dir("vae"))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VAEError(f"cannot make {path}: {error.strerror}; set VAE_DATA to a folder") from error
    return path


def cached_tensor(
    key: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], Any]
) -> tuple[Tensor, Any]:
    """A uint8 tensor in a memory-mapped file, and the facts that belong to it.

    Args:
        key: the name of the file; an existing file with this name is used as it is.
        shape: of the tensor.
        fill: writes a new tensor, and returns its facts, which must be JSON values.

    Raises:
        VAEError: the file cannot be written.
    """
    path, facts = cache_folder() / f"{key}.npy", cache_folder() / f"{key}.json"
    if not (path.is_file() and facts.is_file()):
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            array = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
            _allocate(unfinished)
            found = fill(array)
            array.flush()
            unfinished.replace(path)
        except OSError as error:
            raise VAEError(f"cannot write {path}: {error.strerror}") from error
        finally:
            unfinished.unlink(missing_ok=True)
        write_bytes(facts, json.dumps(found).encode())
    return wrap_array(np.load(path, mmap_mode="r")), json.loads(facts.read_text())


def _allocate(path: Path) -> None:
    """Allocate the disk space of a sparse file now; writing to its memory map must not fail later.

    A process that writes to a memory map on a full disk is killed by the system.

    Raises:
        OSError: the disk is full.
    """
    if sys.platform == "linux":
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
