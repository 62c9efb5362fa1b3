"""A save that fails is tried again, and a run whose folder is renamed goes on in its new place."""

import dataclasses
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vae_cli.errors import InterruptedRunError, UsageError, VAEError
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.runs.directory import Run, create_run, is_locked
from vae_cli.runs.resolve import resolve
from vae_cli.runs.start import load_for_resume
from vae_cli.runs.train import FinishedRun, train_run
from vae_cli.settings import merge
from vae_cli.training import EpochReport

SETTINGS = {
    "data": {"limit": 300},
    "model": {"hidden": [16], "latent_dim": 3},
    "training": {"epochs": 4, "batch_size": 32, "save_every": "1"},
}


def train(
    root: Path,
    report: Callable[[EpochReport], None] = lambda report: None,
    stopped: Callable[[], int | None] = lambda: None,
) -> FinishedRun:
    resolved = resolve(merge(("test", SETTINGS)), torch.device("cpu"))
    run = create_run(resolved.config, "run", root)
    return train_run(run, resolved, report=report, stopped=stopped)


def test_a_periodic_save_that_fails_warns_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0

    def fail_twice(path: Path, checkpoint: Checkpoint) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 2:
            raise VAEError(f"cannot write {path}: No space left on device")
        save_checkpoint(path, checkpoint)

    monkeypatch.setattr("vae_cli.runs.recorder.save_checkpoint", fail_twice)
    with pytest.warns(UserWarning, match="not saved, will try again: cannot write .*No space"):
        finished = train(tmp_path)
    assert finished.run.finished
    assert load_checkpoint(finished.run.last).facts["epoch"] == 4


def test_a_last_save_that_fails_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, checkpoint: Checkpoint) -> None:
        raise VAEError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("vae_cli.runs.recorder.save_checkpoint", fail)
    with warnings.catch_warnings(action="ignore"), pytest.raises(VAEError, match="No space"):
        train(tmp_path)


def test_the_first_save_comes_after_the_first_epoch_whatever_the_interval(tmp_path: Path) -> None:
    seen: list[bool] = []
    run = tmp_path / "run" / "last.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS["training"], "save_every", "1000")
        train(tmp_path, report=lambda report: seen.append(run.exists()))
    assert seen == [True] * 4


def test_a_folder_that_is_renamed_is_followed(tmp_path: Path) -> None:
    def rename(report: EpochReport) -> None:
        if report.epoch == 2:
            (tmp_path / "run").rename(tmp_path / "renamed")

    with pytest.warns(UserWarning, match="was renamed; it is now .*renamed"):
        finished = train(tmp_path, rename)
    assert finished.run == Run(tmp_path / "renamed")
    assert finished.run.finished
    assert load_checkpoint(finished.run.last).facts["epoch"] == 4
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_deleted_is_written_again(tmp_path: Path) -> None:
    def delete(report: EpochReport) -> None:
        if report.epoch == 2:
            shutil.rmtree(tmp_path / "run")

    with pytest.warns(UserWarning, match="was deleted; it is now .*run"):
        finished = train(tmp_path, delete)
    assert finished.run.finished
    assert finished.run.config_file.is_file()
    assert finished.run.best.is_file()


def test_the_best_weights_of_a_resumed_run_that_is_deleted_are_kept(tmp_path: Path) -> None:
    calls = iter(range(100))
    with pytest.raises(InterruptedRunError):
        train(tmp_path, stopped=lambda: signal.SIGTERM if next(calls) == 3 else None)
    run = Run(tmp_path / "run")
    saved, config = load_for_resume(run, [])

    reported: list[int] = []

    def delete(report: EpochReport) -> None:
        reported.append(report.epoch)
        if len(reported) == 1:
            shutil.rmtree(run.path)

    progress = dataclasses.replace(saved.progress, best_loss=-1e9)  # no later epoch is better
    saved = saved._replace(facts=dataclasses.replace(saved.facts, progress=progress))
    best = run.best.read_bytes()
    with pytest.warns(UserWarning, match="was deleted"):
        finished = train_run(run, resolve(config, torch.device("cpu")), saved=saved, report=delete)
    assert finished.run.finished
    assert finished.run.best.read_bytes() == best


@pytest.mark.parametrize("state", ["begun", "finished"])
def test_a_new_run_with_the_name_of_a_deleted_one_is_not_touched(
    tmp_path: Path, state: str
) -> None:
    inside: list[bool] = []

    def replace(report: EpochReport) -> None:
        if report.epoch == 2:
            shutil.rmtree(tmp_path / "run")
            if state == "begun":
                create_run(merge(("test", SETTINGS)), "run", tmp_path)
            else:
                train(tmp_path)
            inside.append(is_locked(Run(tmp_path / "run")))
        if report.epoch == 4:
            inside.append(is_locked(Run(tmp_path / "run-2")))

    with pytest.warns(UserWarning, match="was deleted; it is now .*run-2$"):
        finished = train(tmp_path, replace)
    assert finished.run == Run(tmp_path / "run-2")
    assert finished.run.finished
    assert load_checkpoint(finished.run.last).facts["epoch"] == 4
    assert inside == [False, True], "the new place is locked, and the other run is not"
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"config.toml"} if state == "begun" else "samples.png" in names


def test_a_run_that_another_process_has_changed_is_not_resumed_from_an_old_state(
    tmp_path: Path,
) -> None:
    calls = iter(range(100))
    with pytest.raises(InterruptedRunError):
        train(tmp_path, stopped=lambda: signal.SIGTERM if next(calls) == 3 else None)
    run = Run(tmp_path / "run")
    saved, config = load_for_resume(run, [])
    train_run(run, resolve(config, torch.device("cpu")), saved=saved)
    before = run.last.read_bytes()
    with pytest.raises(UsageError, match="another process has changed it in the meantime"):
        train_run(run, resolve(config, torch.device("cpu")), saved=saved)
    assert run.last.read_bytes() == before
    assert run.finished


def test_a_signal_when_nothing_can_be_saved_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, checkpoint: Checkpoint) -> None:
        raise VAEError(f"cannot write {path}: No space left on device")

    calls = 0

    def stopped() -> int | None:
        nonlocal calls
        calls += 1
        return signal.SIGTERM if calls > 3 else None

    monkeypatch.setattr("vae_cli.runs.recorder.save_checkpoint", fail)
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(VAEError, match="No space") as error,
    ):
        train(tmp_path, stopped=stopped)
    assert not isinstance(error.value, InterruptedRunError)
