"""Removing the directory of a run."""

import shutil

from vae_cli.errors import UsageError, VAEError
from vae_cli.runs.directory import Run
from vae_cli.runs.lock import is_locked, locked


def require_idle(run: Run) -> None:
    """Check that no process is training a run.

    Raises:
        UsageError: one is.
    """
    if is_locked(run):
        raise UsageError(f"run {run.name} is being trained: stop it first")


def remove_run(run: Run) -> None:
    """Remove the directory of a run with all its files; of a symbolic link, only the link.

    Raises:
        UsageError: a process is training the run.
        VAEError: it cannot be removed.
    """
    try:
        with locked(run):
            if run.path.is_symlink():
                run.path.unlink()
            else:
                shutil.rmtree(run.path)
    except OSError as error:
        raise VAEError(f"cannot remove {run.path}: {error.strerror or error}") from error
