"""A run directory: what one training left on disk, and how to find it again.

runs/NAME/config.toml            every effective setting; `vae train --config` repeats the run
runs/NAME/metrics.csv            one row an epoch
runs/NAME/best.safetensors       weights and training state of the epoch with the best test loss
runs/NAME/last.safetensors       the same of the last epoch
runs/NAME/reconstructions.png    test images beside their reconstructions; of vectors, .csv
runs/NAME/samples.png            draws from the prior; of vectors, .csv
"""

import difflib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vae_cli import config
from vae_cli.config import Config
from vae_cli.errors import UsageError, VAEError
from vae_cli.files import write_whole

ROOT = Path("runs")
TRAIN_FIRST = "train one first with: vae train"
NAMED = 5  # of the runs that there are, where none was meant
PNG, CSV = ".png", ".csv"


@dataclass(frozen=True)
class Run:
    """A run directory."""

    path: Path

    @property
    def name(self) -> str:
        """What `--run` calls it."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """Every effective setting."""
        return self.path / "config.toml"

    @property
    def metrics_file(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def best(self) -> Path:
        """The checkpoint with the lowest test loss."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.path / "last.safetensors"

    def shown(self, suffix: str) -> tuple[Path, Path]:
        """Reconstructions and samples, made when training ends; with them a run is finished."""
        return self.path / f"reconstructions{suffix}", self.path / f"samples{suffix}"

    def write_config(self, settings: Config) -> None:
        """Write every effective setting.

        Raises:
            VAEError: the file cannot be written.
        """
        write_whole(self.config_file, config.dumps(settings).encode())

    @property
    def is_there(self) -> bool:
        """Whether a training began there; any other folder has neither file."""
        return self.config_file.is_file() or self.best.is_file()

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return self.best.is_file() and self.ended_at > 0

    @property
    def ended_at(self) -> float:
        """When training came to its end, in seconds; 0 if it did not."""
        ends = [self.shown(suffix)[-1] for suffix in (PNG, CSV)]
        return max((path.stat().st_mtime for path in ends if path.is_file()), default=0)

    def discard(self) -> None:
        """Leave nothing of a run that never learned."""
        self.config_file.unlink()
        self.path.rmdir()

    def reopen(self) -> None:
        """Count as unfinished again."""
        for suffix in (PNG, CSV):
            self.shown(suffix)[-1].unlink(missing_ok=True)


def create(settings: Config, name: str | None, root: Path = ROOT) -> Run:
    """A new run directory with its config; the name is made from data, model and time if not given.

    Raises:
        UsageError: the name is not a plain folder name, or is taken.
    """
    if name is None:
        data = re.sub(r"[^\w.-]", "-", Path(settings.data.name).stem)[:40].lstrip(".-") or "data"
        made = f"{data}-{settings.model.network}-{datetime.now():%Y%m%d-%H%M%S}"
        name = _free_name(made, root)
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise UsageError(f"--name {name}: use letters, digits, dots and dashes")
    run = Run(root / name)
    try:
        run.path.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{run.path} exists already: choose another --name") from error
    except OSError as error:
        raise VAEError(f"cannot create {run.path}: {error.strerror}") from error
    try:
        run.write_config(settings)
    except VAEError:
        run.path.rmdir()  # the name stays free
        raise
    return run


def find(selector: str | None, root: Path = ROOT) -> Run:
    """The run of that name or path; with None the newest that is finished.

    Raises:
        UsageError: there is none.
    """
    if selector is not None:
        places = (root / selector, Path(selector)) if selector.strip() else ()
        run = next((run for run in map(Run, places) if run.is_there), None)
        if run is None:
            raise UsageError(f"no run {selector}: {_known(root, selector)}")
        return run
    finished = [run for run in _runs(root) if run.finished]
    stopped = [run for run in _runs(root) if run.best.is_file() and not run.finished]
    if stopped and not finished:
        name = stopped[-1].name
        raise UsageError(
            f"{name} is not finished: vae train --resume goes on, --run {name} takes it"
        )
    if not finished:
        raise UsageError(f"no finished run in {root}/: {TRAIN_FIRST}")
    return max(finished, key=lambda run: run.ended_at)


def find_stopped(selector: str | None, root: Path = ROOT) -> Run:
    """The run of that name or path; with None the one last stopped, or else the last finished.

    Raises:
        UsageError: there is none.
    """
    stopped = [run for run in _runs(root) if run.last.is_file() and not run.finished]
    if selector is not None or not stopped:
        return find(selector, root)
    return max(stopped, key=lambda run: run.last.stat().st_mtime)


def _free_name(name: str, root: Path) -> str:
    """The name, or with a number behind it when a run took it within the same second."""
    candidates = (f"{name}{suffix}" for suffix in ["", *(f"-{n}" for n in range(2, 100))])
    return next(candidate for candidate in candidates if not (root / candidate).exists())


def _runs(root: Path) -> list[Run]:
    return [Run(path) for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []


def _known(root: Path, selector: str) -> str:
    """What could have been meant, the newest that there are, or what to do."""
    there = [run for run in _runs(root) if run.best.is_file()]
    names = [run.name for run in sorted(there, key=lambda run: -run.best.stat().st_mtime)]
    if not names:
        return TRAIN_FIRST
    near = difflib.get_close_matches(selector, names, 1)
    return f"did you mean {near[0]}?" if near else f"there is {', '.join(names[:NAMED])}"
