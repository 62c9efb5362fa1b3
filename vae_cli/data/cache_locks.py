"""Locks on entries of the cache, for which a process waits. Their files are removed afterwards."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vae_cli.locks import lock

POLL_SECONDS = 0.1  # between two attempts to get a lock


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


def try_lock(path: Path) -> int | None:
    """The descriptor of a lock; None where there are no locks.

    A lock is released by removing its file. A process that has opened the file before that gets a
    lock on a file without a name, which holds nobody off, and opens it again.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: it cannot be opened.
    """
    while True:
        handle = lock(path, os.O_CREAT)
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
