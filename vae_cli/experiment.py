"""One whole training: from settings to a finished run directory."""

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from vae_cli import build, checkpoint, config, images, latent, runs
from vae_cli.checkpoint import Checkpoint
from vae_cli.config import Config
from vae_cli.data import unit_interval
from vae_cli.files import write_whole
from vae_cli.runs import Run, Trained
from vae_cli.training import EpochReport, TrainState, fit, precision

PREVIEW = 32  # tiles in a run's pictures: images and their reconstructions, twice as many samples


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
    objective = build.objective(settings.objective)
    settings = settle_precision(settings, train_images)
    run.write_config(settings)
    state = build.state(settings, dataset.shape, device)
    precision.apply(settings.training.precision, state)
    steps_an_epoch = -(-len(train_images) // settings.training.batch_size)
    log = Log(run, settings, state)

    def keep(done: EpochReport) -> None:
        log.keep(done)
        report(done)

    fit(
        state,
        objective,
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
    draw(run, runs.load(run, device), test_images, settings.training.seed)


def settle_precision(settings: Config, images: Tensor) -> Config:
    """The settings with `auto` replaced by the precision that suits this network and device.

    Raises:
        UsageError: the device lacks the precision asked for.
    """

    def measure() -> bool:
        def fresh() -> TrainState:
            return build.state(settings, images.shape[1:], images.device)

        objective = build.objective(settings.objective)
        return precision.bfloat16_wins(fresh, objective, images, settings.training.batch_size)

    chosen = precision.choose(settings.training.precision, images.device, measure)
    return config.at_precision(settings, chosen)


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
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())
