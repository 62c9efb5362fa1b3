"""A run that was stopped goes on as if it had not been, bit for bit."""

import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vae_cli import build, checkpoint, config
from vae_cli.errors import InterruptedRunError, NonFiniteLossError, UsageError, VAEError
from vae_cli.experiment import prepare, train
from vae_cli.keeper import Interval
from vae_cli.model import Inference
from vae_cli.objectives import Loss
from vae_cli.restore import go_on
from vae_cli.runs import Run, create, find_stopped

CPU = torch.device("cpu")
SETTINGS = {"data": {"limit": 300}, "model": {"hidden": [16], "latent_dim": 3}}
SETTINGS |= {"training": {"epochs": 3, "batch_size": 32}}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vae_cli.training.epoch.CHUNK", 32)  # a word to progress after every step


def learn(run: Run, stop_at: int | None = None) -> None:
    """Train or go on; with `stop_at`, a signal comes after so many steps of this training."""
    said = -1  # it is asked once before the first step

    def stopped() -> int | None:
        nonlocal said
        said += 1
        return signal.SIGTERM if said == stop_at else None

    kept, settings = go_on(run, []) if run.last.exists() else (None, config.resolve(("", SETTINGS)))
    train(
        run,
        prepare(settings, CPU, lambda done, total: None),
        CPU,
        kept=kept,
        report=lambda done: None,
        progress=lambda done, total: None,
        stopped=stopped,
    )


def fresh(root: Path, name: str) -> Run:
    return create(config.resolve(("", SETTINGS)), name, root)


def everything(run: Run) -> tuple[dict[str, Tensor], list[str], bytes, bytes]:
    """All that must be equal: states, rows less their seconds, pictures."""
    tensors = {
        f"{path.name}:{name}": tensor
        for path in (run.best, run.last)
        for name, tensor in checkpoint.load(path).tensors.items()
    }
    rows = [line.rpartition(",")[0] for line in run.metrics_file.read_text().splitlines()]
    return tensors, rows, *(picture.read_bytes() for picture in run.shown(".png"))


def assert_same(one: Run, other: Run) -> None:
    (first, *rest), (second, *others) = everything(one), everything(other)
    assert rest == others
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.equal(second[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = fresh(tmp_path_factory.mktemp("whole"), "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vae_cli.training.epoch.CHUNK", 32)
        learn(run)
    return run


def test_a_run_stopped_after_any_step_goes_on_bit_for_bit(
    tmp_path: Path, whole: Run, request: pytest.FixtureRequest
) -> None:
    every = range(1, 31)  # three epochs of ten steps
    for step in every if request.config.getoption("--full") else (1, 9, 10, 11, 15, 20, 29, 30):
        run = fresh(tmp_path, f"stopped{step}")
        with pytest.raises(InterruptedRunError, match=f"vae train --resume {run.name}") as stop:
            learn(run, stop_at=step)
        assert stop.value.exit_code == 143
        learn(run)
        assert_same(run, whole)


def test_a_run_stopped_again_and_again_goes_on_bit_for_bit(tmp_path: Path, whole: Run) -> None:
    run = fresh(tmp_path, "often")
    while not run.finished:
        try:
            learn(run, stop_at=4)
        except InterruptedRunError:
            continue
    assert_same(run, whole)


def test_more_epochs_may_be_asked_for_and_nothing_else(tmp_path: Path) -> None:
    run = fresh(tmp_path, "small")
    with pytest.raises(InterruptedRunError):
        learn(run, stop_at=3)
    typed = ("command line", {"training": {"epochs": 9}})
    assert go_on(run, [typed])[1].training.epochs == 9
    for tables, word in (
        ({"training": {"epochs": 1}}, "can only be raised"),
        ({"model": {"latent_dim": 4}}, "model.latent_dim is 3, not 4"),
        ({"data": {"limit": 5}}, "data.limit is 300, not 5"),
    ):
        with pytest.raises(UsageError, match=word):
            go_on(run, [("command line", tables)])


def test_the_last_stopped_run_is_taken_before_a_finished_one(tmp_path: Path) -> None:
    run, other = fresh(tmp_path, "stopped"), fresh(tmp_path, "finished")
    with pytest.raises(InterruptedRunError):
        learn(run, stop_at=3)
    learn(other)
    assert find_stopped(None, tmp_path) == run
    learn(run)
    assert find_stopped(None, tmp_path) == run


@pytest.mark.parametrize("text", ["0", "-1", "1h", "", "1.5m", "m", "nan", "99999999"])
def test_a_malformed_interval_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--save-every"):
        Interval.parse(text)


def test_saves_come_at_their_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saves: list[str] = []
    keep = checkpoint.save

    def counted(path: Path, kept: checkpoint.Checkpoint) -> None:
        saves.append(path.name)
        keep(path, kept)

    monkeypatch.setattr(checkpoint, "save", counted)
    run = fresh(tmp_path, "rare")
    settings = config.resolve(("", SETTINGS), ("", {"training": {"save_every": "2"}}))
    train(
        run,
        prepare(settings, CPU, lambda done, total: None),
        CPU,
        report=lambda done: None,
        progress=lambda done, total: None,
        stopped=lambda: None,
    )
    assert saves.count("last.safetensors") == 2  # after the second epoch and at the end


def test_the_best_weights_are_kept_with_their_own_moments(tmp_path: Path) -> None:
    run = fresh(tmp_path, "run")
    tables = {"optimizer": {"schedule": "constant", "learning_rate": 1.0, "warmup": 1.0}}
    settings = config.resolve(("", SETTINGS), ("", tables), ("", {"training": {"epochs": 8}}))
    rows = train(
        run,
        prepare(settings, CPU, lambda done, total: None),
        CPU,
        report=lambda done: None,
        progress=lambda done, total: None,
        stopped=lambda: None,
    )
    best, last = checkpoint.load(run.best), checkpoint.load(run.last)
    losses = [row["test_loss"] for row in rows]
    assert best.facts["epoch"] == losses.index(min(losses)) + 1 < last.facts["epoch"] == 8
    for kept in (best, last):
        moments = kept.group("state.optimizer")
        assert moments["decoder.project.bias.t"] == 10 * kept.facts["epoch"]


def test_memory_that_is_full_names_a_batch_size_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_words: object, **_more: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr("vae_cli.experiment.fit", full)
    with pytest.raises(VAEError, match="try --batch-size 16"):
        learn(fresh(tmp_path, "run"))


def test_a_loss_that_is_not_finite_never_reaches_the_weights(
    tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    steps = (0, 7, 13, *random.Random(0).choices(range(29), k=47))
    for turn, step in enumerate(steps[: times(3, 50)]):
        with pytest.MonkeyPatch.context() as patch:
            poisoned_run(tmp_path / str(turn), patch, step)


def poisoned_run(root: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """A training whose losses are NaN after so many steps."""
    elbo, steps = build.objective, 0

    def poisoned(x: Tensor, inference: Inference) -> Loss:
        nonlocal steps
        steps += torch.is_grad_enabled()
        loss = elbo(config.resolve().objective)(x, inference)
        bad = torch.is_grad_enabled() and steps > step
        return Loss(loss.loss * float("nan"), loss.distortion, loss.kl) if bad else loss

    monkeypatch.setattr(build, "objective", lambda settings: poisoned)
    monkeypatch.setattr("vae_cli.training.epoch.trace", lambda *words: None)
    run = fresh(root, f"nan{steps}")
    with pytest.raises(NonFiniteLossError, match="--learning-rate") as refusal:
        learn(run)
    assert refusal.value.exit_code == 3
    assert run.best.exists() == (step >= 10)
    if run.best.exists():
        for tensor in checkpoint.load(run.best).group("state.model").values():
            assert tensor.isfinite().all()


def test_adam_leaves_everything_alone_when_the_loss_is_not_finite() -> None:
    state = build.state(config.resolve(), (1, 28, 28), CPU)
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    gradients = [torch.ones_like(p) for p in state.optimizer.parameters.values()]
    state.optimizer.step(gradients, 0.1, torch.tensor(float("nan")))
    for name, tensor in state.tensors().items():
        assert tensor.equal(before[name]), name
    state.optimizer.step(gradients, 0.1, torch.tensor(1.0))
    assert not state.tensors()["model.decoder.project.bias"].equal(
        before["model.decoder.project.bias"]
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_real_app_which_then_goes_on(
    tmp_path: Path, vae: Callable[..., object], number: signal.Signals, code: int
) -> None:
    from conftest import VAE

    words = ["train", "--limit", "8192", "--epochs", "200", "--name", "long"]
    with subprocess.Popen(
        [VAE, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=30) == code
        assert process.stderr.read().splitlines()[-1].endswith("vae train --resume long")
    assert not list(tmp_path.rglob("*tmp"))
    kept = checkpoint.load(tmp_path / "runs/long/last.safetensors")
    assert kept.facts["position"]["step"] > 0


def test_a_signal_before_the_first_step_stops_before_it(tmp_path: Path) -> None:
    run = fresh(tmp_path, "early")
    with pytest.raises(InterruptedRunError, match="nothing was learned") as stop:
        learn(run, stop_at=0)
    assert stop.value.exit_code == 143
    assert not run.last.exists()
