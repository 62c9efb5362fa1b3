"""The folder for downloads and decoded pictures, and large tensors stored in it.

KEY.npy          a finished tensor
KEY.json         the facts that belong to it, with the key, the shape and a SHA-256 of all three
KEY.partial.*    the same two for a tensor that lacks some rows
KEY.RANDOM.tmp   a tensor that is being filled, or that a killed process left behind
KEY.lock         held by the process that fills the tensor; removed afterwards

The folder may hold other files too. Only what has one of these names, with 16 random digits or with
the key in its facts, was made here, and is ever removed.
"""

import hashlib
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import platformdirs
from torch import Tensor

from vae_cli.data.batches import wrap_array
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.memory import map_array
from vae_cli.errors import UsageError, VAEError
from vae_cli.files import TEMPORARY_FILE_SUFFIX, read_file, write_bytes
from vae_cli.locks import try_lock, unlock

POLL_SECONDS = 0.1  # between two attempts to get a lock
TEMPORARY_SUFFIX = ".tmp"
PARTIAL_SUFFIX = ".partial.npy"
PARTIAL_FACTS = ".partial.json"
MAX_FACTS = 2**30  # bytes of the facts of a tensor; one of 100 million rows has none so large
LEFTOVERS = re.compile(  # the names of temporary files, of tensors and of facts
    rf"(?P<tensor>[^.]+)\.[0-9a-f]{{16}}{re.escape(TEMPORARY_SUFFIX)}"
    rf"|\.(?P<facts>[^.]+)(\.partial)?\.json\.[0-9a-f]{{16}}{re.escape(TEMPORARY_FILE_SUFFIX)}"
)
Refill = Callable[[np.ndarray, Any], Any]


@contextmanager
def locked(path: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock; while another process holds it, `wait` is called several times a second.

    Where there are no locks, two processes may fill the same tensor, each in its own file.

    Raises:
        OSError: the lock cannot be opened.
    """
    while True:
        try:
            handle = try_lock(path)
            break
        except BlockingIOError:
            wait()
            time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        unlock(path, handle)


@final
@dataclass(frozen=True)
class Unfinished:
    """The facts of a tensor that lacks some rows, because filling them later may succeed."""

    facts: Any


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
    key: str,
    shape: tuple[int, ...],
    *,
    fill: Callable[[np.ndarray], Any],
    progress: Progress = ignore_progress,
    refill: Refill | None = None,
) -> tuple[Tensor, Any]:
    """A uint8 tensor in a memory-mapped file, and the facts that belong to it.

    If another process fills the same tensor, this one waits for it. A file that is not whole, for
    example on a disk that was full, is filled again, and so is one whose facts were not written for
    it, or were changed.

    Args:
        key: the name of the file, without dots.
        shape: of the tensor.
        fill: writes a new tensor, and returns its facts, which must be JSON values; or `Unfinished`
            facts if some rows are missing.
        progress: called with 0 and the length of the tensor while another process fills it.
        refill: writes the rows that are missing in an unfinished tensor, which it gets with its
            facts, and returns the new facts; None fills the whole tensor again.

    Raises:
        VAEError: the file cannot be written.
    """
    path = cache_folder() / f"{key}.npy"
    entry = _read_entry(path, shape)
    if entry is not None:
        return entry
    try:
        _remove_leftovers(path.parent)
        with locked(path.with_suffix(".lock"), lambda: progress(0, shape[0])):
            entry = _read_entry(path, shape)
            if entry is None and refill is not None:
                entry = _refill_entry(path, shape, refill)
            return entry or _fill_entry(path, shape, fill)
    except OSError as error:
        entry = _read_entry(path.with_suffix(PARTIAL_SUFFIX), shape) if refill else None
        if entry is not None:  # the folder cannot be written, and what it has is good
            return entry
        raise VAEError(f"cannot write {path}: {error.strerror or error}") from error


def _read_entry(path: Path, shape: tuple[int, ...]) -> tuple[Tensor, Any] | None:
    """A finished tensor and its facts; None if one of its files is missing or not whole."""
    try:
        array = map_array(path)
        known = _read_facts(path)
        length = path.stat().st_size
    except (UsageError, OSError, ValueError):
        return None
    expected = array.shape == shape and array.dtype == np.uint8 and array.flags.c_contiguous
    if not expected or length != array.offset + array.nbytes:
        return None
    if known is None or known["shape"] != list(shape):
        return None
    return wrap_array(array), known["facts"]


def _read_facts(path: Path) -> dict[str, Any] | None:
    """The key, the shape and the facts of a tensor; None if they were not written for this path.

    Raises:
        UsageError: the file is not a file, or far too large.
        OSError: it cannot be read.
    """
    content = read_file(path.with_suffix(".json"), MAX_FACTS)
    try:
        known = json.loads(content)
        is_own = known["key"] == _key_of(path) and known.pop("sha256") == _digest(known)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return known if is_own else None


def _write_facts(path: Path, shape: Sequence[int], facts: Any) -> None:
    """Store the facts of a tensor beside it, over whatever has their name.

    Raises:
        OSError: the file cannot be written.
    """
    known = {"key": _key_of(path), "shape": list(shape), "facts": facts}
    target = path.with_suffix(".json")
    if target.exists() and not target.is_file():
        target.unlink()  # a pipe; a folder is an error
    write_bytes(target, json.dumps(known | {"sha256": _digest(known)}).encode())


def _digest(known: Mapping[str, Any]) -> str:
    """SHA-256 of the key, the shape and the facts of a tensor."""
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _key_of(path: Path) -> str:
    return path.name.partition(".")[0]


def _fill_entry(
    path: Path, shape: tuple[int, ...], fill: Callable[[np.ndarray], Any]
) -> tuple[Tensor, Any]:
    """Fill a tensor under a temporary name, and give it its own name when it is finished.

    Raises:
        OSError: the file cannot be written.
    """
    temporary = path.with_suffix(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        array = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        _allocate(temporary)
        facts = fill(array)
        array.flush()
        return _name_entry(temporary, path, facts)
    finally:
        temporary.unlink(missing_ok=True)


def _refill_entry(path: Path, shape: tuple[int, ...], refill: Refill) -> tuple[Tensor, Any] | None:
    """Fill the missing rows of an unfinished tensor in its place; None if there is none.

    Other processes may have the tensor in use, but never the rows that are missing.

    Raises:
        OSError: the file cannot be written.
    """
    partial = path.with_suffix(PARTIAL_SUFFIX)
    entry = _read_entry(partial, shape)
    if entry is None:
        return None
    array = np.lib.format.open_memmap(partial, mode="r+")
    facts = refill(array, entry[1])
    array.flush()
    return _name_entry(partial, path, facts)


def _name_entry(filled: Path, path: Path, facts: Any) -> tuple[Tensor, Any]:
    """Give a filled tensor the name that tells whether it is finished, and store its facts.

    Raises:
        OSError: the files cannot be renamed or written.
    """
    is_finished = not isinstance(facts, Unfinished)
    partial = path.with_suffix(PARTIAL_SUFFIX)
    target, known = (path, facts) if is_finished else (partial, facts.facts)
    array = map_array(filled)
    filled.replace(target)
    _write_facts(target, array.shape, known)
    if is_finished:
        for one in (partial, partial.with_suffix(".json")):
            one.unlink(missing_ok=True)
    return wrap_array(array), known


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left behind, if nobody holds the lock of its tensor.

    That of another user, which this one may not remove, stays.
    """
    for key, leftover in _find_leftovers(folder):
        lock_file = folder / f"{key}.lock"
        with suppress(BlockingIOError, PermissionError):
            handle = try_lock(lock_file)
            try:
                if handle is not None:
                    leftover.unlink(missing_ok=True)
            finally:
                unlock(lock_file, handle)


def _find_leftovers(folder: Path) -> Iterator[tuple[str, Path]]:
    """The keys and paths of temporary files, and of the facts of unfinished tensors that are gone.

    A file that only looks like these facts is not among them.
    """
    for path in folder.iterdir():
        if match := LEFTOVERS.fullmatch(path.name):
            yield match["tensor"] or match["facts"], path
        elif path.name.endswith(PARTIAL_FACTS) and not path.with_suffix(".npy").exists():
            with suppress(UsageError, OSError):
                if _read_facts(path):
                    yield _key_of(path), path


def _allocate(path: Path) -> None:
    """Allocate the disk space of a sparse file now; writing to its memory map must not fail later.

    A process that writes to a memory map on a full disk is killed by the system.

    Raises:
        OSError: the disk is full.
    """
    if sys.platform == "linux":
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
