"""A lock on a run directory, so that two processes never train the same run.

The operating system holds the lock (`flock` on the directory) and releases it when the process
ends, however it ends. Where there is no `flock`, as on Windows, runs are not locked.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from vae_cli.errors import UsageError
from vae_cli.runs.directory import Run

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the lock of a run.

    Raises:
        UsageError: another process is training the run.
    """
    handle = _acquire(run)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def is_locked(run: Run) -> bool:
    """Whether a process is training the run."""
    try:
        handle = _acquire(run)
    except UsageError:
        return True
    if handle is not None:
        os.close(handle)
    return False


def _acquire(run: Run) -> int | None:
    """An open directory with a lock on it; None if this file system has no locks."""
    if fcntl is None:
        return None
    handle = os.open(run.path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise UsageError(f"run {run.name} is being trained by another process") from error
    except OSError:  # for example a network file system without locks
        os.close(handle)
        return None
    return handle
