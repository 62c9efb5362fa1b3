"""Finding a run by its name, or several by a pattern."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from vae_cli.errors import UsageError, list_some
from vae_cli.runs.directory import ROOT, Run, changed_at
from vae_cli.runs.lock import is_locked

TRAIN_FIRST = "train one first with: vae train"
MAX_SUGGESTIONS = 5


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
            f"{name} is not finished: vae train --resume goes on, --run {name} takes it"
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
