"""A run directory: what one training left on disk, and how to find and use it again.

runs/NAME/config.toml            every effective setting; `vae train --config` repeats the run
runs/NAME/metrics.csv            one row an epoch
runs/NAME/best.safetensors       weights and training state of the epoch with the best test loss
runs/NAME/last.safetensors       the same of the last epoch
runs/NAME/reconstructions.png    test images beside their reconstructions; of vectors, .csv
runs/NAME/samples.png            draws from the prior; of vectors, .csv
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from vae_cli import build, checkpoint, config
from vae_cli.checkpoint import Checkpoint
from vae_cli.config import Config
from vae_cli.data import FashionMNIST, Spec, Split
from vae_cli.errors import UsageError, VAEError
from vae_cli.files import write_whole
from vae_cli.model import VAE

ROOT = Path("runs")
PNG, CSV = ".png", ".csv"
_SPEC = TypeAdapter(Spec)
LONGEST = 100_000  # columns of a vector or pixels of an edge
MAY_CHANGE = {"training.epochs", "training.device", "training.save_every"}  # of a run that goes on


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
    def finished(self) -> bool:
        """Whether training came to its end."""
        return self.best.is_file() and self.ended_at > 0

    @property
    def ended_at(self) -> float:
        """When training came to its end, in seconds; 0 if it did not."""
        ends = [self.shown(suffix)[-1] for suffix in (PNG, CSV)]
        return max((path.stat().st_mtime for path in ends if path.is_file()), default=0)

    def reopen(self) -> None:
        """Count as unfinished again."""
        for suffix in (PNG, CSV):
            self.shown(suffix)[-1].unlink(missing_ok=True)


@dataclass(frozen=True)
class Trained:
    """A model ready for use, and what it was trained on.

    Attributes:
        model: in evaluation mode, on the device asked for.
        spec: what the items that it learned are.
        settings: with which it learned.
        kl_by_dim: the KL of each latent dimension on the test set, in nats, `(D,)`.
        epoch: after which the weights were kept.
    """

    model: VAE
    spec: Spec
    settings: Config
    kl_by_dim: Tensor
    epoch: int

    def held_out(self) -> Split:
        """The test part of its data, which must still be there.

        Raises:
            UsageError: they are not.
        """
        split = build.dataset(self.settings.data).test()
        if split.items.shape[1:] != self.spec.shape:
            raise UsageError(f"the data of this run have changed: {self.settings.data.name}")
        return split


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
        places = (Path(selector), root / selector) if selector.strip() else ()
        run = next((Run(path) for path in places if path.is_dir()), None)
        if run is None:
            raise UsageError(f"no run {selector}: {_known(root)}")
        return run
    finished = [run for run in _runs(root) if run.finished]
    if not finished:
        raise UsageError(f"no finished run in {root}/: {_known(root)}")
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


def go_on(run: Run, typed: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Checkpoint, Config]:
    """The checkpoint at which a run stopped, and its settings with those typed that may change.

    Raises:
        UsageError: something was typed that differs from the run's and may not.
        VAEError: the checkpoint is missing or damaged.
    """
    kept = checkpoint.load(run.last)
    try:
        base = ("its config", kept.facts["config"])
        own = config.resolve(base)
        spec = read_spec(kept)
    except (KeyError, OverflowError, TypeError, ValueError, UsageError) as error:
        raise VAEError(f"{run.last} is damaged: {_first_line(error)}") from error
    wanted = build.located(config.resolve(base, *typed))
    changes = [c for c in config.differences(own, wanted) if c.key not in MAY_CHANGE]
    if changes:
        listed = ", ".join(f"{c.key} is {c.before}, not {c.after}" for c in changes)
        raise UsageError(f"run {run.name} cannot go on with other settings: {listed}")
    if wanted.training.epochs < own.training.epochs:
        raise UsageError(
            f"--epochs: run {run.name} has {own.training.epochs}; it can only be raised"
        )
    if not checkpoint.fits(kept.group("state.model"), _without_memory(wanted, spec)):
        raise VAEError(f"the weights in {run.last} do not fit the config in it")
    return kept, wanted


def load(run: Run, device: torch.device) -> Trained:
    """The best weights of a run, as a model on the device.

    Raises:
        VAEError: there are no weights, they are damaged, or they do not fit their config.
    """
    kept = checkpoint.load(run.best)
    weights = kept.group("state.model")
    try:
        settings = config.resolve(("its config", kept.facts["config"]))
        spec = read_spec(kept)
        model = _without_memory(settings, spec)
        kl = kept.tensors["kl_by_dim"]
        epoch = int(kept.facts["epoch"])
    except KeyError as error:
        raise VAEError(f"{run.best} lacks {error}: it is not a checkpoint of a model") from error
    except (UsageError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise VAEError(f"{run.best} is damaged: {_first_line(error)}") from error
    if not checkpoint.fits(weights, model):
        raise VAEError(f"the weights in {run.best} do not fit the config in it")
    if kl.shape != (model.latent_dim,):
        raise VAEError(f"the KL in {run.best} does not fit its {model.latent_dim} dimensions")
    if not all(tensor.isfinite().all() for tensor in (kl, *weights.values())):
        raise VAEError(f"the weights in {run.best} are not finite numbers")
    model.load_state_dict(weights, assign=True)
    model.to(device).to(memory_format=torch.channels_last).eval()
    return Trained(model, spec, settings, kl, epoch)


def read_spec(kept: Checkpoint) -> Spec:
    """What the items are that a checkpoint's model learned; without a word, Fashion-MNIST's.

    Raises:
        ValueError: it is malformed.
    """
    if "data" not in kept.facts:
        return FashionMNIST.spec
    spec = _SPEC.validate_json(json.dumps(kept.facts["data"]), strict=True)
    if len(spec.shape) not in {1, 3} or not all(0 < side <= LONGEST for side in spec.shape):
        raise ValueError(f"items of {spec.shape}")
    return spec


def _without_memory(settings: Config, spec: Spec) -> VAE:
    """The model of a config, shapes alone: nothing is allocated before they are checked."""
    with torch.device("meta"):
        return build.model(settings.model, spec.shape)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _free_name(name: str, root: Path) -> str:
    """The name, or with a number behind it when a run took it within the same second."""
    candidates = (f"{name}{suffix}" for suffix in ["", *(f"-{n}" for n in range(2, 100))])
    return next(candidate for candidate in candidates if not (root / candidate).exists())


def _runs(root: Path) -> list[Run]:
    return [Run(path) for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []


def _known(root: Path) -> str:
    """What there is instead, or what to do."""
    names = [run.name for run in _runs(root) if run.best.is_file()]
    if not names:
        return "train one first with: vae train"
    return f"there is {', '.join(names[-5:])}; choose with --run NAME"
