"""Removing the directory of a run, and nothing else.

A folder is a run if it has a checkpoint of `vae`. A run that has not saved yet has none. It is
known by its settings, or by having only files with names that `vae` writes. That counts only in
the folder of the runs: elsewhere, such files may be a user's.
"""

import os
import shutil
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from vae_cli.errors import UsageError, VAEError, list_some
from vae_cli.runs.checkpoint import read_metadata
from vae_cli.runs.directory import (
    FILES,
    MAX_SUGGESTIONS,
    ROOT,
    Run,
    all_folders,
    has_wildcards,
    is_locked,
    locked,
    suggest_runs,
)
from vae_cli.runs.summary import read_settings
from vae_cli.settings import entries


def select_removable(patterns: Sequence[str], root: Path = ROOT) -> list[Run]:
    """The runs to remove: by whole names, by paths, or by patterns with wildcards.

    The beginning of a name is not enough, and neither is the path of a file.

    Raises:
        UsageError: a pattern matches none, or names what is not a run.
    """
    chosen: list[Run] = []
    for pattern in patterns:
        places = [root / pattern, Path(pattern)] if pattern.strip() else []
        named = [Run(path) for path in places if os.path.isdir(path) or os.path.islink(path)][:1]  # noqa: PTH112, PTH114
        if named:
            require_run(named[0], root)
        chosen += named or _match(pattern, root)
    return list(dict.fromkeys(chosen))


def require_run(run: Run, root: Path = ROOT) -> None:
    """Check that a folder is a run, so that it may be removed.

    Raises:
        UsageError: it is not.
    """
    if not is_run(run, root):
        raise UsageError(
            f"{run.path} has no checkpoint of vae: it is not a run, and is not removed"
        )


def is_run(run: Run, root: Path = ROOT) -> bool:
    """Whether a folder is a run; a link to a folder is one if the folder is."""
    return is_marked(run, root) or (_is_in(run, root) and not foreign_names(run))


def is_marked(run: Run, root: Path = ROOT) -> bool:
    """Whether a folder has a checkpoint of `vae`, or lies in the folder of the runs with settings.

    This is what proves a run. A folder of the runs that is empty was perhaps going to be one.
    """
    if read_metadata(run.best) or read_metadata(run.last):
        return True
    return _is_in(run, root) and _has_settings(run)


def foreign_names(run: Run) -> list[str]:
    """The names of what would be lost with a run though `vae` did not write it, sorted.

    Of a symbolic link, only the link is removed, so nothing would be lost.

    Raises:
        VAEError: the folder cannot be read.
    """
    if run.path.is_symlink():
        return []
    try:
        with os.scandir(run.path) as listing:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
    except OSError as error:
        raise VAEError(f"cannot read {run.path}: {error.strerror}") from error
    return sorted(
        f"{name}/" if is_dir else name
        for name, is_dir in found
        if is_dir or not any(fnmatchcase(name, own) for own in FILES)
    )


def require_idle(run: Run) -> None:
    """Check that no process is training a run.

    Raises:
        UsageError: one is.
    """
    if run.path.is_dir() and is_locked(run):
        raise UsageError(f"run {run.name} is being trained: stop it first")


def remove_run(run: Run, foreign: Collection[str] = ()) -> None:
    """Remove the directory of a run with all its files; of a symbolic link, only the link.

    Args:
        run: what to remove.
        foreign: the names in it that `vae` did not write, and that may be removed as well.

    Raises:
        UsageError: a process is training the run, or there are other names in it.
        VAEError: it cannot be removed.
    """
    try:
        if run.path.is_symlink():
            run.path.unlink()
            return
        with locked(run):
            if others := sorted(set(foreign_names(run)) - set(foreign)):
                listed = list_some(others, MAX_SUGGESTIONS)
                raise UsageError(f"{run.path} holds what vae did not write: {listed}")
            shutil.rmtree(run.path)
    except OSError as error:
        raise VAEError(f"cannot remove {run.path}: {error.strerror or error}") from error


def _is_in(run: Run, root: Path) -> bool:
    return os.path.realpath(run.path.parent) == os.path.realpath(root)


def _has_settings(run: Run) -> bool:
    """Whether the settings of a run can be read: those of another program have other sections."""
    sections = {key.partition(".")[0] for key in read_settings(run)}
    return bool(sections) and sections <= {entry.section for entry in entries()}


def _match(pattern: str, root: Path) -> list[Run]:
    """The runs whose names match a pattern with wildcards.

    Raises:
        UsageError: there is none.
    """
    folders = [run for run in all_folders(root) if pattern.strip()]
    if has_wildcards(pattern):
        found = [run for run in folders if fnmatchcase(run.name, pattern) and is_run(run, root)]
        if found:
            return found
    begun = [run.name for run in folders if run.name.startswith(pattern)]
    if begun:
        names = list_some(begun, MAX_SUGGESTIONS)
        raise UsageError(f"no run {pattern}: write the whole name of what to remove: {names}")
    raise UsageError(f"no run {pattern}: {suggest_runs(root, pattern)}")
