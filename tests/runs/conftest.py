"""A run directory with the recorder of a very small model."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vae_cli.build import build_state
from vae_cli.config import SaveInterval, merge
from vae_cli.data.dataset import Spec
from vae_cli.runs.directory import create_run
from vae_cli.runs.recorder import RunRecorder
from vae_cli.training import EpochReport, Metrics, TrainState

SPEC = Spec("spots", (1, 4, 4), ("small", "large"))
DIGEST = "0123456789abcdef" * 4
TABLES = {
    "model": {"network": "mlp", "hidden": [4], "latent_dim": 2},
    "training": {"device": "cpu"},
}


@pytest.fixture
def make_recorder(tmp_path: Path) -> Callable[..., RunRecorder]:
    """`make_recorder(name="run", interval=SaveInterval())`: of a new run before its first epoch."""

    def make(name: str = "run", interval: SaveInterval | None = None) -> RunRecorder:
        config = merge(("", TABLES))
        state = build_state(config, SPEC.shape, torch.device("cpu"))
        run = create_run(config, name, tmp_path)
        interval = interval or SaveInterval()
        return RunRecorder(run, config, SPEC, "test", (90, 10), DIGEST, state, interval)

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
    gradients = [torch.ones_like(p) for p in state.optimizer.parameters.values()]
    state.optimizer.step(gradients, 0.1, torch.tensor(1.0))
    state.count_step(32)
