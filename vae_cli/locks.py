"""Locks between processes, which the operating system releases when a process ends, however.

`filelock` is not used: it locks no folder (`IsADirectoryError`), so each run would need a file of
its own for it, and looking at a run in a folder that is read-only would fail; and its import takes
37 ms of processor time, which `vae --help` does not have. What it has more is Windows.
"""

import os
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def lock(path: Path, flags: int = os.O_RDONLY) -> int | None:
    """Open a file or a folder, and lock it for this process (`flock`).

    Args:
        path: what to lock.
        flags: how to open it; with `os.O_CREAT`, a file that does not exist is created.

    Returns:
        A descriptor that holds the lock until it is closed; None where there are no locks, as on
        Windows and on some network file systems.

    Raises:
        BlockingIOError: another process, or another descriptor of this one, holds the lock.
        OSError: it cannot be opened.
    """
    if fcntl is None:
        return None
    handle = os.open(path, flags | os.O_NONBLOCK, 0o666)  # a pipe in its place never waits
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:
        os.close(handle)
        return None
    return handle


def try_lock(path: Path, access: int = os.O_RDONLY) -> int | None:
    """The descriptor of a lock, for reading or as `access` says; None where there are no locks.

    A lock is released by removing its file. A process that has opened the file before that gets a
    lock on a file without a name, which holds nobody off, and opens it again.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: it cannot be opened.
    """
    while True:
        handle = lock(path, os.O_CREAT | access)
        if handle is None:
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)


def unlock(path: Path, handle: int | None) -> None:
    """Release a lock by removing its file."""
    path.unlink(missing_ok=True)
    if handle is not None:
        os.close(handle)
