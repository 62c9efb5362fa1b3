"""Work that all processes of a training need, done by one of them on each machine.

The processes that a launcher has started on one machine use the same data. If each of them read it
by itself, N processes would parse the same table and decode the same pictures N times, and would
hold them in memory N times. So one of them does it, and the others wait and map what it has
(`shared_memory.py`). They need not know each other: whoever gets the lock does the work. If it is
killed, the system releases the lock, and one of those who wait takes over.

The file of the lock is in the folder of the cache. It holds a note for those who wait: how far the
work is, and then where its result lies. Where there are no locks, or no files in memory, each
process does the work for itself, as a process does that was started alone.
"""

import atexit
import hashlib
import json
import os
import pickle
import platform
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from vae_cli.data.cache import POLL_SECONDS, cache_folder
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.shared_memory import HAS_MEMORY_FILES, open_memory, read_memory, write_memory
from vae_cli.errors import VAEError
from vae_cli.files import read_file
from vae_cli.locks import try_lock, unlock
from vae_cli.processes import Place, read_place
from vae_cli.threads import all_cores

T = TypeVar("T")
Work = Callable[[Progress], T]
Note = Mapping[str, Any]  # "done" and "total"; or "process", "handle" and "inode"; or "alone"

LAUNCH = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")  # of torchrun
NAMESPACE = Path("/proc/self/ns/pid")  # in which the numbers of processes mean the same
PREFIX = "shared-"  # of the names of locks
MAX_NOTE = 4096  # bytes
UNSHARED = (OSError, pickle.PicklingError, TypeError, AttributeError)  # why nothing is shared


def share_work(name: str, work: Work[T], progress: Progress = ignore_progress) -> T:
    """What some work returns, which one of the processes on this machine does for all.

    All of them must call this with the same name, and do the same with what they get. Warnings are
    repeated in each. An error is not shared: the next process tries again, and finds it too.

    Args:
        name: of this work among all that the processes do; may be long.
        work: is called with the progress; the tensors in what it returns are mapped by the others.
        progress: called with what is done so far and in all, also in a process that waits.

    Returns:
        The same for all: a process that works alone gets it as it is, and each of several a copy
        whose tensors are shared until one writes to them.
    """
    place = read_place()
    if place is None or place.local_size == 1 or not HAS_MEMORY_FILES:
        return work(progress)
    try:
        path = cache_folder() / f"{PREFIX}{_key_of(name, place)}.lock"
    except VAEError:  # nothing can be written there
        return work(progress)
    if place.local_rank > 0:
        time.sleep(POLL_SECONDS)  # so that the first one, which prints, mostly does the work
    return _take_or_do(path, work, progress)


def _key_of(name: str, place: Place) -> str:
    """A name for the work of these processes that is different on every machine."""
    launch = [place.address, place.port, *map(os.environ.get, LAUNCH)]
    facts = [platform.node(), NAMESPACE.stat().st_ino, os.geteuid(), launch, name]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _take_or_do(path: Path, work: Work[T], progress: Progress) -> T:
    """Do the work if nobody does, or else wait for the process that does it."""
    while True:
        try:
            handle = try_lock(path, os.O_RDWR)
        except BlockingIOError:
            note = _read_note(path)
        except OSError:  # nothing can be written there
            return work(progress)
        else:
            return work(progress) if handle is None else _do(path, handle, work, progress)
        try:
            value = _take(note)
        except PermissionError:  # the system lets nobody look into another process
            return work(progress)
        if value is not None or "alone" in note:
            return work(progress) if value is None else cast("T", _unpack(*value))
        progress(note.get("done", 0), note.get("total", 1))
        time.sleep(POLL_SECONDS)


def _take(note: Note) -> tuple[Any, Sequence[Warning | str]] | None:
    """What another process has, and its warnings; None if it has nothing, or has just ended.

    Raises:
        PermissionError: it may not be read.
    """
    if "process" not in note:
        return None
    memory = open_memory(note["process"], note["handle"], note["inode"])
    if memory is None:
        return None
    try:
        value: tuple[Any, Sequence[Warning | str]] = read_memory(memory)[0]
    finally:
        os.close(memory)
    return value


def _do(path: Path, handle: int, work: Work[T], progress: Progress) -> T:
    """Do the work for all, and hold the lock as long as what it returns is in use."""
    place = read_place()
    count = place.local_size if place else 1

    def note_progress(done: int, total: int) -> None:
        _write_note(handle, {"done": done, "total": total})
        progress(done, total)

    try:
        os.ftruncate(handle, 0)  # what a killed process has noted
        _remove_leftovers(path.parent)
        with warnings.catch_warnings(record=True) as caught, all_cores(count):
            found = work(note_progress)
        texts = [warning.message for warning in caught]
        try:
            memory = write_memory((found, texts))
        except UNSHARED:
            _write_note(handle, {"alone": True})
            atexit.register(unlock, path, handle)
            return _unpack(found, texts)
        del found  # what is shared replaces it
        value, mapping = read_memory(memory)
        note = {"process": os.getpid(), "handle": memory, "inode": os.fstat(memory).st_ino}
        _write_note(handle, note)
        weakref.finalize(mapping, _withdraw, path, handle, memory)
    except BaseException:
        unlock(path, handle)
        raise
    return cast("T", _unpack(*value))


def _withdraw(path: Path, handle: int, memory: int) -> None:
    """Offer the memory to nobody any more."""
    unlock(path, handle)
    os.close(memory)


def _remove_leftovers(folder: Path) -> None:
    """Remove the files of locks that killed processes left behind."""
    for path in folder.glob(f"{PREFIX}*.lock"):
        with suppress(OSError):  # somebody holds it, or it is that of another user
            unlock(path, try_lock(path))


def _unpack(found: T, texts: Sequence[Warning | str]) -> T:
    """What some work has found, after its warnings were repeated."""
    for text in texts:
        warnings.warn(text, stacklevel=5)
    return found


def _write_note(handle: int, note: Note) -> None:
    """Replace the note in the file of a lock; at every length, its end is filled with spaces."""
    os.pwrite(handle, json.dumps(note).encode().ljust(MAX_NOTE), 0)


def _read_note(path: Path) -> Note:
    """The note of the process that holds a lock; empty if there is none yet."""
    try:
        note = json.loads(read_file(path, MAX_NOTE))
    except (VAEError, OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
