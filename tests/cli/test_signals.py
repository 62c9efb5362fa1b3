"""Ctrl-C and SIGTERM during training. `tests/reliability` sends them at random moments."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import VAE

from vae_cli.cli._app import main
from vae_cli.cli._signals import CAUGHT, StopSignals
from vae_cli.data.dataset import Progress
from vae_cli.errors import InterruptedRunError
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.settings import DataConfig

Capture = pytest.CaptureFixture[str]
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_is_stored_and_raises_nothing_until_it_is_asked_for(
    number: signal.Signals, code: int
) -> None:
    done: list[tuple[int, int]] = []
    with StopSignals() as signals:
        progress = signals.raise_during(lambda *numbers: done.append(numbers))
        signals.raise_if_stopped()
        progress(1, 2)
        assert signals.stopped() is None
        signal.raise_signal(number)
        assert signals.stopped() == number
        for stop in (signals.raise_if_stopped, lambda: progress(2, 2)):
            with pytest.raises(InterruptedRunError, match="before the first step") as error:
                stop()
            assert error.value.exit_code == code
    assert done == [(1, 2)]


def test_the_handlers_are_restored_even_after_an_error() -> None:
    before = [signal.getsignal(number) for number, _ in SIGNALS]
    with contextlib.suppress(ValueError), StopSignals():
        assert [signal.getsignal(number) for number, _ in SIGNALS] != before
        raise ValueError
    assert [signal.getsignal(number) for number, _ in SIGNALS] == before


@pytest.mark.parametrize("reason", ["signal", "leader", "error"])
def test_a_follower_that_is_stopped_is_ended_by_no_further_signal_while_it_says_why(
    reason: str,
) -> None:
    before = {number: signal.getsignal(number) for number in CAUGHT}
    asked = signal.SIGTERM if reason == "leader" else None
    try:
        with contextlib.suppress(ValueError), StopSignals(lambda: asked) as signals:
            if reason == "error":
                raise ValueError
            if reason == "signal":
                signal.raise_signal(signal.SIGTERM)
            assert signals.stopped() == signal.SIGTERM
        assert {signal.getsignal(number) for number in CAUGHT} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_follower_that_was_not_stopped_restores_the_handlers() -> None:
    before = [signal.getsignal(number) for number in CAUGHT]
    with StopSignals(lambda: None):
        pass
    assert [signal.getsignal(number) for number in CAUGHT] == before


def test_a_second_signal_during_the_save_is_answered_and_a_third_one_ends_the_process(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with StopSignals() as signals:
        assert signals.stopped() is None
        signal.raise_signal(signal.SIGINT)
        assert signals.stopped() == signal.SIGINT  # the save begins
        signal.raise_signal(signal.SIGINT)
        expected = "saving what was learned; once more stops at once, without saving\n"
        assert capfd.readouterr().err == expected
        assert codes == []
        signal.raise_signal(signal.SIGINT)
    assert codes == [130]
    assert capfd.readouterr().err.startswith("stopped at once: ")


def test_a_second_signal_ends_the_process_at_once_and_says_what_is_lost(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with StopSignals():
        signal.raise_signal(signal.SIGINT)
        assert codes == []
        signal.raise_signal(signal.SIGTERM)
    assert codes == [143]
    expected = "stopped at once: what was learned since the last save is lost\n"
    assert capfd.readouterr() == ("", expected)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_the_data_are_read_leaves_no_run(
    tmp_path: Path,
    capfd: Capture,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    def signal_and_open(config: DataConfig, progress: Progress, *more: Any) -> object:
        signal.raise_signal(number)
        return open_data(config, progress, *more)

    open_data = DataConfig.open
    monkeypatch.setattr(DataConfig, "open", signal_and_open)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--limit", "64", "--epochs", "1"]) == code
    assert capfd.readouterr() == ("", "stopped before the first step\n")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_stops_the_training_with_one_line_and_saves_what_was_learned(tmp_path: Path) -> None:
    words = ["train", "--limit", "512", "--epochs", "100000", "--name", "long"]
    with subprocess.Popen(
        [VAE, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as training:
        assert training.stdout is not None
        assert training.stdout.readline().split()[0] == "epoch"
        assert training.stdout.readline().split()[0] == "1"
        training.send_signal(signal.SIGINT)
        _, err = training.communicate(timeout=60)
    assert training.returncode == 130
    *notes, last = err.splitlines()
    assert re.fullmatch(r"stopped in epoch \d+; go on with: vae train --resume long", last)
    assert len(notes) == 2, "the run and the data"
    run = tmp_path / "runs" / "long"
    names = {"config.toml", "metrics.csv", "best.safetensors", "last.safetensors"}
    assert {path.name for path in run.iterdir()} == names
    saved = load_checkpoint(run / "last.safetensors")
    rows = (run / "metrics.csv").read_text().splitlines()
    assert len(rows) - 1 in {saved.facts["epoch"], saved.facts["epoch"] - 1}
    load_checkpoint(run / "best.safetensors")
