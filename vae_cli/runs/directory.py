"""The directory of a run.

runs/NAME/config.toml            all settings; `vae train --config` repeats the run
runs/NAME/metrics.csv            one row per epoch
runs/NAME/best.safetensors       the weights of the epoch with the lowest test loss
runs/NAME/last.safetensors       the whole state of the training at its last save
runs/NAME/reconstructions.png    test images and their reconstructions; .csv for a table
runs/NAME/samples.png            samples from the prior; .csv for a table
runs/NAME/previews.txt           why these two could not be drawn, if they could not

A lock on a run directory, so that two processes never train the same run.

Where there are no locks, as on Windows, runs are not locked.

Finding a run by its name, or several by a pattern.
"""

import difflib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from vae_cli.errors import UsageError, VAEError, list_some, shorten
from vae_cli.files import (
    TEMPORARY_FILE_SUFFIX,
    exists,
    is_file,
    is_left_over,
    remove_leftovers,
    write_bytes,
)
from vae_cli.locks import lock
from vae_cli.rendering import CSV, PNG
from vae_cli.settings import Config, to_toml

ROOT = Path("runs")
FILES = (  # all that is ever written into the directory of a run, as patterns
    *("config.toml", "metrics.csv", "best.safetensors", "last.safetensors"),
    *(f"{name}{suffix}" for name in ("reconstructions", "samples") for suffix in (PNG, CSV)),
    "previews.txt",
    *("evaluation.json", "evaluation-*.json", "classifier.safetensors", "sampler-*.safetensors"),
    f".*{TEMPORARY_FILE_SUFFIX}",
)
MAX_NAME = 100  # characters of the name of a run
DAY = 24 * 60 * 60  # seconds


@dataclass(frozen=True)
class Run:
    """A run directory."""

    path: Path

    @property
    def name(self) -> str:
        """The name to give to `--run`."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """The file with all settings."""
        return self.path / "config.toml"

    @property
    def metrics_file(self) -> Path:
        """The metrics, one row per epoch."""
        return self.path / "metrics.csv"

    @property
    def best(self) -> Path:
        """The checkpoint with the lowest test loss."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.path / "last.safetensors"

    def previews(self, suffix: str) -> tuple[Path, Path]:
        """Reconstructions and samples. They are written last: a run with them is finished."""
        return self.path / f"reconstructions{suffix}", self.path / f"samples{suffix}"

    @property
    def no_previews(self) -> Path:
        """Why the previews of a finished run could not be drawn, instead of them."""
        return self.path / "previews.txt"

    def write_config(self, settings: Config) -> None:
        """Write all settings.

        Raises:
            VAEError: the file cannot be written.
        """
        write_bytes(self.config_file, to_toml(settings).encode())

    @property
    def exists(self) -> bool:
        """Whether this is the directory of a run."""
        return is_file(self.config_file) or is_file(self.best)

    @property
    def finished(self) -> bool:
        """Whether the training reached its last epoch."""
        return is_file(self.best) and any(map(is_file, self._ends))

    @property
    def ended_at(self) -> float:
        """When the training reached its last epoch, as `changed_at` says; 0 if it did not."""
        return max(map(changed_at, self._ends))

    @property
    def _ends(self) -> list[Path]:
        """The files that are written last."""
        return [*(self.previews(suffix)[-1] for suffix in (PNG, CSV)), self.no_previews]

    @property
    def inode(self) -> int:
        """The number that identifies the directory, whatever its name; 0 if there is none."""
        try:
            return self.path.stat().st_ino
        except OSError:
            return 0

    def find_renamed(self, inode: int) -> "Run | None":
        """The run in the same folder with this inode, if there is one."""
        siblings = self.path.parent.iterdir() if self.path.parent.is_dir() else ()
        runs = (Run(path) for path in siblings)
        return next((run for run in runs if run.inode == inode), None)

    def discard(self) -> None:
        """Remove the directory of a run before its first step."""
        self.config_file.unlink()
        self.path.rmdir()

    def reopen(self) -> None:
        """Mark the run as unfinished again."""
        for path in self._ends:
            path.unlink(missing_ok=True)


def require_written_inside(folder: Path) -> None:
    """Check that what is written into the folder of a run stays in it.

    A link in it may lead to a file of the user, which the next save would replace. The folder
    itself may be a link.

    Raises:
        VAEError: a link with a name that `vae` writes leads out of it.
    """
    home = Path(os.path.realpath(folder))
    for path in home.glob("*"):
        leads_away = path.is_symlink() and Path(os.path.realpath(path)).parent != home
        if leads_away and any(fnmatchcase(path.name, own) for own in FILES):
            shown = folder / path.name
            raise VAEError(f"{shown} is a link to a file elsewhere: replace it by a copy")


def changed_at(path: Path) -> float:
    """When a file was changed, in seconds since 1970, to tell which of several is the newest.

    It is 0 if there is no file, and also if its time cannot be true: many archives have the year
    1970, and a clock that was wrong may have written a time that has not come yet.
    """
    try:
        at = path.stat().st_mtime
    except OSError:
        return 0
    return at if 0 < at < time.time() + DAY else 0


def create_run(settings: Config, name: str | None, root: Path = ROOT) -> Run:
    """Create a run directory with its config. A missing name is made from data, network and time.

    Raises:
        UsageError: the name is not a plain folder name, or is taken.
    """
    if name is None:
        data = re.sub(r"[^\w.-]", "-", Path(settings.data.name).stem)[:40].lstrip(".-") or "data"
        candidate = f"{data}-{settings.model.network}-{datetime.now():%Y%m%d-%H%M%S}"
        name = free_name(candidate, root)
    require_free_name(name, root)
    run = Run(root / name)
    make_directory(run, settings)
    return run


def make_directory(run: Run, settings: Config) -> None:
    """Make a directory that is not there yet, with the config in it.

    A process that is killed here leaves an empty directory, which the next one takes. The lock
    decides between two processes.

    Raises:
        UsageError: it is there already.
        VAEError: it cannot be made or written.
    """
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        handle = lock(run.path)
    except (FileExistsError, BlockingIOError) as error:  # a file, or another process was faster
        raise UsageError(explain_taken(run.path)) from error
    except OSError as error:
        raise VAEError(f"cannot create {run.path}: {error.strerror}") from error
    try:
        if not is_left_over(run.path):
            raise UsageError(explain_taken(run.path))
        remove_leftovers(run.path)
        _write_first(run, settings)
    finally:
        if handle is not None:
            os.close(handle)


def _write_first(run: Run, settings: Config) -> None:
    try:
        run.write_config(settings)
    except VAEError:
        run.path.rmdir()  # the name stays free
        raise


def require_free_name(name: str, root: Path = ROOT) -> None:
    """Check that a new run can have this name, before anything is read or computed.

    Raises:
        UsageError: it is not a plain folder name, or is taken.
    """
    require_run_name(name)
    if exists(root / name) and not is_left_over(root / name):
        raise UsageError(explain_taken(root / name))


def explain_taken(path: Path) -> str:
    """Why a run cannot have this folder."""
    return f"{path} exists already: choose another --name"


def require_run_name(name: str) -> None:
    """Check that a run can have this name.

    Raises:
        UsageError: it is not a plain folder name, or is too long.
    """
    if len(name) > MAX_NAME:
        raise UsageError(f"--name {shorten(name)}: a name has up to {MAX_NAME} characters")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(f"--name {name}: use letters, digits, dots and dashes")


def free_name(name: str, root: Path = ROOT) -> str:
    """The name, with a number if another run has it."""
    candidates = (f"{name}{suffix}" for suffix in ["", *(f"-{n}" for n in range(2, 100))])
    return next(candidate for candidate in candidates if not (root / candidate).exists())


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
