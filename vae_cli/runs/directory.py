"""The directory of a run.

runs/NAME/config.toml            all settings; `vae train --config` repeats the run
runs/NAME/metrics.csv            one row per epoch
runs/NAME/best.safetensors       the weights of the epoch with the lowest test loss
runs/NAME/last.safetensors       the whole state of the training at its last save
runs/NAME/reconstructions.png    test images and their reconstructions; .csv for a table
runs/NAME/samples.png            samples from the prior; .csv for a table
runs/NAME/previews.txt           why these two could not be drawn, if they could not

A process that trains a run holds a lock on its directory, so that no other trains or removes it.
Where there are no locks, as on Windows, runs are not locked.
"""

import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from vae_cli.data.shard_names import is_pattern, is_remote, short_name
from vae_cli.errors import UsageError, VAEError, list_some, mark, shorten
from vae_cli.files import (
    TEMPORARY_FILE_SUFFIX,
    exists,
    is_file,
    is_left_over,
    remove_leftovers,
    write_bytes,
)
from vae_cli.locks import lock
from vae_cli.rendering.suffixes import CSV, PNG
from vae_cli.settings import Plan, to_toml

ROOT = Path("runs")
FILES = (  # all that is ever written into the directory of a run, as patterns
    *("config.toml", "metrics.csv", "best.safetensors", "last.safetensors"),
    *(f"{name}{suffix}" for name in ("reconstructions", "samples") for suffix in (PNG, CSV)),
    "previews.txt",
    *("evaluation.json", "evaluation-*.json", "classifier.safetensors", "sampler-*.safetensors"),
    f".*{TEMPORARY_FILE_SUFFIX}",
)
MAX_NAME = 100  # characters of the name of a run
MAX_SUGGESTIONS = 5  # names in an error message
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

    def write_config(self, settings: Plan) -> None:
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


def create_run(settings: Plan, name: str | None, root: Path = ROOT) -> Run:
    """Create a run directory with its config. A missing name is made from data, network and time.

    Raises:
        UsageError: the name is not a plain folder name, or is taken.
    """
    run = new_run(settings, name, root)
    make_directory(run, settings)
    return run


def new_run(settings: Plan, name: str | None, root: Path = ROOT) -> Run:
    """A run whose directory is not there yet, with this name or one that no other run has.

    Raises:
        UsageError: the name is not a plain folder name, or is taken.
    """
    if name is None:
        source = settings.data.name
        source = short_name(source) if is_pattern(source) or is_remote(source) else source
        data = re.sub(r"[^\w.-]", "-", Path(source).stem)[:40].lstrip(".-") or "data"
        network = re.sub(r"[^\w.-]+", "-", settings.model.network).strip("-")  # a module:Class
        candidate = f"{data}-{network}-{datetime.now():%Y%m%d-%H%M%S}"
        name = free_name(candidate, root)
    require_free_name(name, root)
    return Run(root / name)


def make_directory(run: Run, settings: Plan) -> None:
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


def _write_first(run: Run, settings: Plan) -> None:
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
    return f"{path} exists already: choose another {mark('name')}"


def require_run_name(name: str) -> None:
    """Check that a run can have this name.

    Raises:
        UsageError: it is not a plain folder name, or is too long.
    """
    if len(name) > MAX_NAME:
        raise UsageError(f"{mark('name')} {shorten(name)}: a name has up to {MAX_NAME} characters")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(f"{mark('name')} {name}: use letters, digits, dots and dashes")


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
