"""Finding runs: by a name, by several or a pattern, and those that may be removed.

A folder may be removed as a run if it has a checkpoint of `vae`. A run that has not saved yet has
none. It is known by its settings, or by having only files with names that `vae` writes. That counts
only in the folder of the runs: elsewhere, such files may be a user's.
"""

import difflib
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from vae_cli.errors import UsageError, list_some, mark
from vae_cli.runs.checkpoint import read_metadata
from vae_cli.runs.directory import MAX_SUGGESTIONS, ROOT, Run, changed_at, foreign_names, is_locked
from vae_cli.runs.summary import read_settings
from vae_cli.settings import entries

TRAIN_FIRST = "train one first with: vae train"


def find_run(selector: str | None, root: Path = ROOT) -> Run:
    """The run with this name or path; None means the newest finished run.

    The beginning of a name is enough if no other run has it. The path of a run's weights,
    `NAME/best.safetensors`, means the run too.

    Raises:
        UsageError: there is none, or the beginning of a name does not tell which.
    """
    if selector is not None:
        return _find_exactly(selector, root) or _find_by_pattern(selector, root)
    finished = finished_runs(root)
    stopped = [run for run in all_folders(root) if run.best.is_file() and not run.finished]
    if stopped and not finished:
        name = stopped[-1].name
        raise UsageError(
            f"{name} is not finished: vae train --resume goes on, {mark('run')} {name} takes it"
        )
    if not finished:
        raise UsageError(f"no finished run in {root.absolute()}: {TRAIN_FIRST}")
    return max(finished, key=lambda run: run.ended_at)


def select_runs(patterns: Sequence[str], root: Path = ROOT) -> list[Run]:
    """The runs whose names match one of some patterns, in the order of their names.

    Args:
        patterns: the name or the path of a run; names with `*`, `?` and `[...]` as in a shell; or
            the beginning of names, if no run has it as its whole name. Without patterns, all runs
            match.
        root: the folder of the runs.

    Raises:
        UsageError: there is no run, or a pattern matches none.
    """
    folders = all_folders(root)
    runs = [run for run in folders if run.exists]
    if not runs and not patterns:
        raise UsageError(f"no run in {root.absolute()}: {TRAIN_FIRST}")
    chosen = runs if not patterns else []
    for pattern in patterns:
        exact = _find_exactly(pattern, root)
        matching = _match(pattern, folders)
        chosen += [exact] if exact else matching or [find_run(pattern, root)]
    return list(dict.fromkeys(chosen))


def find_stopped(selector: str | None, root: Path = ROOT) -> Run:
    """The run with this name or path; None means the one that stopped last, or finished last.

    Runs that are being trained are left out, unless they are named.

    Raises:
        UsageError: there is none.
    """
    stopped = [run for run in all_folders(root) if run.last.is_file() and not run.finished]
    stopped = [run for run in stopped if not is_locked(run)]
    if selector is None and stopped:
        return max(stopped, key=lambda run: changed_at(run.last))
    if selector is None and not finished_runs(root):
        raise UsageError(f"no run in {root.absolute()} was stopped: {TRAIN_FIRST}")
    return find_run(selector, root)


def finished_runs(root: Path = ROOT) -> list[Run]:
    """All runs whose training reached its last epoch."""
    return [run for run in all_folders(root) if run.finished]


def all_folders(root: Path) -> list[Run]:
    """All folders in the folder of the runs, in the order of their names, runs or not."""
    return [Run(path) for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []


def has_wildcards(pattern: str) -> bool:
    """Whether a pattern is more than a name or the beginning of names."""
    return any(wildcard in pattern for wildcard in "*?[")


def _find_exactly(selector: str, root: Path) -> Run | None:
    """The run with this whole name, or with this path of its folder or of its weights."""
    places = [root / selector, Path(selector)] if selector.strip() else []
    places += [path.parent for path in places if path == Run(path.parent).best]
    return next((run for run in map(Run, places) if run.exists), None)


def _match(pattern: str, folders: Sequence[Run]) -> list[Run]:
    """The runs whose names match a pattern; without wildcards, they begin with it.

    If a folder has it as its whole name, no other run is meant, even if the folder holds no run.
    """
    if has_wildcards(pattern):
        found = [run for run in folders if fnmatchcase(run.name, pattern)]
    else:
        begun = [run for run in folders if pattern.strip() and run.name.startswith(pattern)]
        found = [run for run in begun if run.name == pattern] or begun
    return [run for run in found if run.exists]


def _find_by_pattern(pattern: str, root: Path) -> Run:
    """The only run whose name matches a pattern, or begins with it.

    Raises:
        UsageError: there is none, or there are several.
    """
    found = _match(pattern, all_folders(root))
    if len(found) > 1:
        names = list_some([run.name for run in found], MAX_SUGGESTIONS)
        raise UsageError(f"{pattern}: which of {names}?")
    if not found:
        raise UsageError(f"no run {pattern}: {suggest_runs(root, pattern)}")
    return found[0]


def suggest_runs(root: Path, selector: str) -> str:
    """The run with the nearest name, the newest runs, or what to do if there are none."""
    usable = [run for run in all_folders(root) if run.best.is_file()]
    names = [run.name for run in sorted(usable, key=lambda run: -changed_at(run.best))]
    if not names:
        return f"there is none in {root.absolute()}; {TRAIN_FIRST}"
    near = difflib.get_close_matches(selector, names, 1)
    return f"did you mean {near[0]}?" if near else f"there is {list_some(names, MAX_SUGGESTIONS)}"


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
        chosen += named or _match_removable(pattern, root)
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


def _is_in(run: Run, root: Path) -> bool:
    return os.path.realpath(run.path.parent) == os.path.realpath(root)


def _has_settings(run: Run) -> bool:
    """Whether the settings of a run can be read: those of another program have other sections."""
    sections = {key.partition(".")[0] for key in read_settings(run)}
    return bool(sections) and sections <= {entry.section for entry in entries()}


def _match_removable(pattern: str, root: Path) -> list[Run]:
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
