"""Finding a run by its name."""

import difflib
from pathlib import Path

from vae_cli.errors import UsageError, list_some
from vae_cli.runs.directory import ROOT, Run
from vae_cli.runs.lock import is_locked

TRAIN_FIRST = "train one first with: vae train"
MAX_SUGGESTIONS = 5


def find_run(selector: str | None, root: Path = ROOT) -> Run:
    """The run with this name or path; None means the newest finished run.

    The path of its weights, `NAME/best.safetensors`, means the run too.

    Raises:
        UsageError: there is none.
    """
    if selector is not None:
        places = [root / selector, Path(selector)] if selector.strip() else []
        places += [path.parent for path in places if path == Run(path.parent).best]
        run = next((run for run in map(Run, places) if run.exists), None)
        if run is None:
            raise UsageError(f"no run {selector}: {_suggest(root, selector)}")
        return run
    finished = finished_runs(root)
    stopped = [run for run in _all_runs(root) if run.best.is_file() and not run.finished]
    if stopped and not finished:
        name = stopped[-1].name
        raise UsageError(
            f"{name} is not finished: vae train --resume goes on, --run {name} takes it"
        )
    if not finished:
        raise UsageError(f"no finished run in {root}/: {TRAIN_FIRST}")
    return max(finished, key=lambda run: run.ended_at)


def find_stopped(selector: str | None, root: Path = ROOT) -> Run:
    """The run with this name or path; None means the one that stopped last, or finished last.

    Runs that are being trained are left out, unless they are named.

    Raises:
        UsageError: there is none.
    """
    stopped = [run for run in _all_runs(root) if run.last.is_file() and not run.finished]
    stopped = [run for run in stopped if not is_locked(run)]
    if selector is None and stopped:
        return max(stopped, key=lambda run: run.last.stat().st_mtime)
    if selector is None and not finished_runs(root):
        raise UsageError(f"no run in {root}/ was stopped: {TRAIN_FIRST}")
    return find_run(selector, root)


def finished_runs(root: Path = ROOT) -> list[Run]:
    """All runs whose training reached its last epoch."""
    return [run for run in _all_runs(root) if run.finished]


def _all_runs(root: Path) -> list[Run]:
    return [Run(path) for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []


def _suggest(root: Path, selector: str) -> str:
    """The run with the nearest name, the newest runs, or what to do if there are none."""
    usable = [run for run in _all_runs(root) if run.best.is_file()]
    names = [run.name for run in sorted(usable, key=lambda run: -run.best.stat().st_mtime)]
    if not names:
        return TRAIN_FIRST
    near = difflib.get_close_matches(selector, names, 1)
    return f"did you mean {near[0]}?" if near else f"there is {list_some(names, MAX_SUGGESTIONS)}"
