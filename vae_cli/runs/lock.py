"""A lock on a run directory, so that two processes never train the same run.

Where there are no locks, as on Windows, runs are not locked.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from vae_cli.errors import UsageError
from vae_cli.locks import lock
from vae_cli.runs.directory import Run


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the lock of a run.

    Raises:
        UsageError: another process is training the run, or its directory is gone.
    """
    try:
        handle = lock(run.path)
    except BlockingIOError as error:
        raise UsageError(f"run {run.name} is being trained by another process") from error
    except FileNotFoundError as error:
        raise UsageError(f"{run.path} is not there any more: it was removed") from error
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def is_locked(run: Run) -> bool:
    """Whether a process is training the run."""
    try:
        with locked(run):
            return False
    except UsageError:
        return run.path.is_dir()
