"""Small runs of three epochs of ten steps, on random images."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vae_cli.config import merge
from vae_cli.data import batches
from vae_cli.experiment.resolve import Resolved, resolve
from vae_cli.experiment.run import train_run
from vae_cli.runs.directory import Run, create_run
from vae_cli.runs.loading import load_for_resume
from vae_cli.runs.recorder import Row

CPU = torch.device("cpu")
SHAPE, BATCH_SIZE = (8, 8), 32


@pytest.fixture(scope="session")
def resolve_small(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Resolved]:
    """`resolve_small(**tables)`: 300 training images, a small network, and further settings."""
    path = tmp_path_factory.mktemp("data") / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (400, *SHAPE), np.uint8))
    tables = {
        "data": {"name": str(path), "limit": 300},
        "model": {"hidden": [16], "latent_dim": 3},
        "training": {"epochs": 3, "batch_size": BATCH_SIZE, "precision": "float32"},
    }

    def resolve_with(**more: dict[str, Any]) -> Resolved:
        return resolve(merge(("", tables), ("", more)), CPU)

    return resolve_with


@pytest.fixture(scope="session")
def train_small(resolve_small: Callable[..., Resolved]) -> Callable[..., list[Row]]:
    """`train_small(run, stop_at=None, resolved=None)`: train or resume a run; returns its metrics.

    With `stop_at`, a signal comes after so many steps of this training; 0 is before the first.
    """

    def train(run: Run, stop_at: int | None = None, resolved: Resolved | None = None) -> list[Row]:
        calls = -1  # the first call is before the first step

        def stopped() -> int | None:
            nonlocal calls
            calls += 1
            return signal.SIGTERM if calls == stop_at else None

        saved = None
        if run.last.exists():
            saved, config = load_for_resume(run, [])
            resolved = resolve(config, CPU)
        with pytest.MonkeyPatch.context() as patch:
            # chunks of one batch, so that `stopped` is called after every step
            patch.setattr(batches, "MAX_CHUNK_VALUES", BATCH_SIZE * SHAPE[0] * SHAPE[1])
            resolved = resolved or resolve_small()
            return train_run(run, resolved, saved=saved, stopped=stopped).rows

    return train


@pytest.fixture
def new_run(tmp_path: Path, resolve_small: Callable[..., Resolved]) -> Callable[..., Run]:
    """`new_run(name="run", resolved=None)`: a run before its first step."""

    def create(name: str = "run", resolved: Resolved | None = None) -> Run:
        return create_run((resolved or resolve_small()).config, name, tmp_path)

    return create
