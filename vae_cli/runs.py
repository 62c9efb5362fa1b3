"""A run directory: what one training left on disk, and how to find and use it again.

runs/NAME/config.toml            every effective setting; `vae train --config` repeats the run
runs/NAME/metrics.csv            one row an epoch
runs/NAME/best.safetensors       weights and training state of the epoch with the best test loss
runs/NAME/last.safetensors       the same of the last epoch
runs/NAME/reconstructions.png    test images beside their reconstructions
runs/NAME/samples.png            draws from the prior
"""

import csv
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from vae_cli import build, checkpoint, config, images, latent
from vae_cli.checkpoint import Checkpoint
from vae_cli.config import Config
from vae_cli.data import Dataset, unit_interval
from vae_cli.errors import UsageError, VAEError
from vae_cli.files import write_whole
from vae_cli.model import VAE
from vae_cli.training import EpochReport, TrainState, fit

ROOT = Path("runs")
PREVIEW = 32  # tiles in a run's pictures: images and their reconstructions, twice as many samples


@dataclass(frozen=True)
class Run:
    """A run directory."""

    path: Path

    @property
    def name(self) -> str:
        """What `--run` calls it."""
        return self.path.name

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

    @property
    def pictures(self) -> tuple[Path, Path]:
        """Reconstructions and samples, drawn when training ends; with them a run is finished."""
        return self.path / "reconstructions.png", self.path / "samples.png"

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return self.best.is_file() and self.pictures[-1].is_file()


@dataclass(frozen=True)
class Trained:
    """A model ready for use, and what it was trained on.

    Attributes:
        model: in evaluation mode, on the device asked for.
        dataset: what it learned.
        kl_by_dim: the KL of each latent dimension on the test set, in nats, `(D,)`.
        epoch: after which the weights were kept.
    """

    model: VAE
    dataset: Dataset
    kl_by_dim: Tensor
    epoch: int


def create(settings: Config, name: str | None, root: Path = ROOT) -> Run:
    """A new run directory with its config; the name is made from data, model and time if not given.

    Raises:
        UsageError: the name is not a plain folder name, or is taken.
    """
    if name is None:
        name = f"{settings.data.name}-mlp-{datetime.now():%Y%m%d-%H%M%S}"
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        raise UsageError(f"--name {name}: use letters, digits, dots and dashes")
    run = Run(root / name)
    try:
        run.path.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{run.path} exists already: choose another --name") from error
    except OSError as error:
        raise VAEError(f"cannot create {run.path}: {error.strerror}") from error
    write_whole(run.path / "config.toml", config.dumps(settings).encode())
    return run


def find(selector: str | None, root: Path = ROOT) -> Run:
    """The run of that name or path; with None the newest that is finished.

    Raises:
        UsageError: there is none.
    """
    if selector is not None:
        run = next((Run(path) for path in (Path(selector), root / selector) if path.is_dir()), None)
        if run is None:
            raise UsageError(f"no run {selector}: {_known(root)}")
        return run
    finished = [run for run in _runs(root) if run.finished]
    if not finished:
        raise UsageError(f"no finished run in {root}/: {_known(root)}")
    return max(finished, key=lambda run: run.pictures[-1].stat().st_mtime)


def load(run: Run, device: torch.device) -> Trained:
    """The best weights of a run, as a model on the device.

    Raises:
        VAEError: there are no weights, they are damaged, or they do not fit their config.
    """
    kept = checkpoint.load(run.best, device)
    try:
        settings = config.resolve((f"config in {run.best}", kept.facts["config"]))
        dataset = build.dataset(settings.data.name)
        model = build.model(settings.model, dataset.shape).to(device)
        model.load_state_dict(kept.group("model"))
        return Trained(model.eval(), dataset, kept.tensors["kl_by_dim"].cpu(), kept.facts["epoch"])
    except KeyError as error:
        raise VAEError(f"{run.best} lacks {error}: it is not a checkpoint of a model") from error
    except RuntimeError as error:
        raise VAEError(f"the weights in {run.best} do not fit the config beside them") from error


def train(
    run: Run,
    settings: Config,
    device: torch.device,
    *,
    report: Callable[[EpochReport], None],
    progress: Callable[[int, int], None],
) -> None:
    """Train as the settings say, and leave everything in the run's directory.

    Raises:
        NonFiniteLossError: the loss is not finite; the checkpoints of earlier epochs stay.
        VAEError: a file cannot be written.
    """
    dataset = build.dataset(settings.data.name)
    limit = settings.data.limit or None
    train_images = dataset.train().images[:limit].to(device)
    test_images = dataset.test().images[:limit].to(device)
    state = build.state(settings, dataset.shape, device)
    steps_an_epoch = -(-len(train_images) // settings.training.batch_size)
    log = Log(run, settings, state)

    def keep(done: EpochReport) -> None:
        log.keep(done)
        report(done)

    fit(
        state,
        build.objective(settings.objective),
        train_images,
        test_images,
        epochs=settings.training.epochs,
        batch_size=settings.training.batch_size,
        seed=settings.training.seed,
        learning_rate=build.learning_rate(
            settings.optimizer, steps_an_epoch * settings.training.epochs
        ),
        report=keep,
        progress=progress,
    )
    draw(run, load(run, device), test_images, settings.training.seed)


@dataclass
class Log:
    """Keeps checkpoints and the table of metrics while a run goes on."""

    run: Run
    settings: Config
    state: TrainState
    best: float = math.inf
    rows: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, done: EpochReport) -> None:
        """Add a row, and write the last and, if it is, the best checkpoint."""
        self.rows.append(row(done))
        kept = Checkpoint(
            {**self.state.tensors(), "kl_by_dim": done.test.kl_by_dim},
            {
                "config": config.to_dict(self.settings),
                "epoch": done.epoch,
                "step": self.state.step,
                "test_loss": done.test.loss,
            },
        )
        if done.test.loss < self.best:
            self.best = done.test.loss
            checkpoint.save(self.run.best, kept)
        checkpoint.save(self.run.last, kept)
        _write_metrics(self.run.metrics_file, self.rows)


def row(done: EpochReport) -> dict[str, Any]:
    """One line of `metrics.csv`: losses in nats, averaged over images."""
    return {
        "epoch": done.epoch,
        "train_kl": round(done.train.kl, 4),
        "train_mse": round(done.train.distortion, 4),
        "train_loss": round(done.train.loss, 4),
        "test_kl": round(done.test.kl, 4),
        "test_mse": round(done.test.distortion, 4),
        "test_loss": round(done.test.loss, 4),
        "active_dims": done.test.active,
        "seconds": round(done.seconds, 3),
    }


def draw(run: Run, trained: Trained, test_images: Tensor, seed: int) -> None:
    """The two pictures of a finished run."""
    model = trained.model
    x = unit_interval(test_images[:PREVIEW])
    pairs = images.beside(x, latent.reconstruct(model, x).images)
    images.write_png(images.grid(pairs, columns=8), run.pictures[0])
    generator = Generator(model.device).manual_seed(seed)
    samples = latent.sample(model, 2 * PREVIEW, generator=generator)
    images.write_png(images.grid(samples, columns=8), run.pictures[1])


def _write_metrics(path: Path, rows: list[dict[str, Any]]) -> None:
    import io

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def _runs(root: Path) -> list[Run]:
    return [Run(path) for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []


def _known(root: Path) -> str:
    """What there is instead, or what to do."""
    names = [run.name for run in _runs(root) if run.best.is_file()]
    if not names:
        return "train one first with: vae train"
    return f"there is {', '.join(names[-5:])}; choose with --run NAME"
