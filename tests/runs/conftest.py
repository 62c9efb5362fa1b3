"""The recorder of a very small model, and small runs of three epochs of ten steps."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import leave_untraced

from vae_cli.data import batches
from vae_cli.data.dataset import Spec
from vae_cli.runs.directory import Run, create_run
from vae_cli.runs.facts import Facts
from vae_cli.runs.recorder import Row, RunRecorder
from vae_cli.runs.resolve import Resolved, resolve
from vae_cli.runs.start import load_for_resume
from vae_cli.runs.train import train_run
from vae_cli.settings import SaveInterval, choose, merge
from vae_cli.training import EpochReport, Metrics, TrainState, epochs

CPU = torch.device("cpu")
SHAPE, BATCH_SIZE = (8, 8), 32
SPEC = Spec("spots", (1, 4, 4), classes=("small", "large"))
DIGEST = "0123456789abcdef" * 4
TABLES = {
    "model": {"network": "mlp", "hidden": [4], "latent_dim": 2},
    "training": {"device": "cpu"},
}


@pytest.fixture(autouse=True)
def untraced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training of a few steps takes most of its time to be traced, so only some tests do that.

    The tests of all variants compare a traced training with one that is not.
    """
    if not request.module.__name__.endswith(("test_variants", "test_resume")):
        monkeypatch.setattr(epochs, "trace", leave_untraced)


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


@pytest.fixture
def make_recorder(tmp_path: Path) -> Callable[..., RunRecorder]:
    """`make_recorder(name="run", interval=SaveInterval())`: of a new run before its first epoch."""

    def make(name: str = "run", interval: SaveInterval | None = None) -> RunRecorder:
        config = choose(merge(("", TABLES)), SPEC)
        state = config.build_state(SPEC, torch.device("cpu"))
        run = create_run(config, name, tmp_path)
        interval = interval or SaveInterval()
        facts = Facts(config=config, data=SPEC, counts=(90, 10), data_digest=DIGEST, epoch=0)
        return RunRecorder(
            run=run,
            facts=facts,
            held_out_name="test",
            state=state,
            interval=interval,
            locks=ExitStack(),
        )

    return make


@pytest.fixture
def finish_epoch() -> Callable[[RunRecorder, float], None]:
    """`finish_epoch(recorder, loss)`: take one step, end the epoch, and record its test loss."""

    def finish(recorder: RunRecorder, loss: float) -> None:
        take_step(recorder.state)
        recorder.state.end_epoch()
        kl_by_dim = torch.tensor([0.75 * loss, 0.0])
        terms = {"kl": 0.75 * loss, "mse": 0.25 * loss}
        metrics = Metrics(loss, terms, -loss, kl_by_dim)
        recorder.record_epoch(EpochReport(recorder.state.epoch, metrics, metrics, 1.5))

    return finish


def take_step(state: TrainState) -> None:
    """Change every weight and every moment."""
    for player in state.players.values():
        gradients = [torch.ones_like(p) for p in player.parameters.values()]
        player.optimizer.step(gradients, 0.1, torch.tensor(1.0))
    state.count_step(32)
