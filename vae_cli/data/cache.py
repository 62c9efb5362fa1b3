"""Where downloads and decoded pictures are kept, and how a large tensor is written there."""

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from torch import Tensor

from vae_cli.errors import VAEError
from vae_cli.files import write_whole


def folder() -> Path:
    """`VAE_DATA`, else the platform's folder for caches; made if it is not there.

    Raises:
        VAEError: it cannot be made.
    """
    path = Path(os.environ.get("VAE_DATA") or platformdirs.user_cache_dir("vae"))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VAEError(f"cannot make {path}: {error.strerror}; set VAE_DATA to a folder") from error
    return path


def mapped(
    key: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], Any]
) -> tuple[Tensor, Any]:
    """A uint8 tensor that is a file mapped into memory, and the facts that belong to it.

    Args:
        key: names the file; what is there under it is taken as it is.
        shape: of the tensor.
        fill: writes a new one, and returns its facts, which JSON can hold.

    Raises:
        VAEError: the file cannot be written.
    """
    path, facts = folder() / f"{key}.npy", folder() / f"{key}.json"
    if not (path.is_file() and facts.is_file()):
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            array = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
            _reserve(unfinished)
            found = fill(array)
            array.flush()
            unfinished.replace(path)
        except OSError as error:
            raise VAEError(f"cannot write {path}: {error.strerror}") from error
        finally:
            unfinished.unlink(missing_ok=True)
        write_whole(facts, json.dumps(found).encode())
    return from_array(np.load(path, mmap_mode="r")), json.loads(facts.read_text())


def _reserve(path: Path) -> None:
    """Take a sparse file's room on the disk now: a full disk would kill whoever writes to its map.

    Raises:
        OSError: there is not enough.
    """
    if sys.platform == "linux":
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def from_array(array: np.ndarray) -> Tensor:
    """A tensor over an array's memory, which nobody writes to though torch cannot know it."""
    with warnings.catch_warnings(action="ignore"):
        return torch.from_numpy(array)
