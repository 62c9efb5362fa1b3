"""Nothing that happens to the terminal, the disk or the folder's name ends a training unsaved."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import VAE

from vae_cli.runs.checkpoint import load_checkpoint

TRAIN = [VAE, "train", "--limit", "2048", "--hidden", "16", "--name", "run"]


def wait_for(path: Path, seconds: float = 60) -> None:
    """Wait until a file exists."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} is missing"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGHUP", "SIGXCPU"])
def test_a_closed_terminal_or_a_time_limit_saves_first(tmp_path: Path, name: str) -> None:
    number = signal.Signals[name]
    command = [*TRAIN, "--epochs", "10000", "--save-every", "10m"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=-1, stderr=-1, text=True) as process:
        wait_for(tmp_path / "runs/run/last.safetensors")
        first = load_checkpoint(tmp_path / "runs/run/last.safetensors").facts["progress"]["step"]
        time.sleep(0.5)
        process.send_signal(number)
        assert process.wait(timeout=60) == 128 + number
    last = load_checkpoint(tmp_path / "runs/run/last.safetensors").facts["progress"]["step"]
    assert last > first


@pytest.mark.slow
def test_a_terminal_that_hangs_up_leaves_a_run_to_resume(tmp_path: Path) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(TRAIN[0], [*map(str, TRAIN), "--epochs", "10000", "--save-every", "10m"])
    wait_for(tmp_path / "runs/run/last.safetensors")
    first = load_checkpoint(tmp_path / "runs/run/last.safetensors").facts["progress"]["step"]
    time.sleep(0.5)
    os.close(terminal)  # the kernel sends SIGHUP, and every write to the terminal fails
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    last = load_checkpoint(tmp_path / "runs/run/last.safetensors").facts["progress"]["step"]
    assert last > first


@pytest.mark.parametrize("sink", ["a closed pipe", "a full device"])
def test_output_that_cannot_be_written_does_not_end_the_training(tmp_path: Path, sink: str) -> None:
    command = [*TRAIN, "--epochs", "4"]
    if sink == "a closed pipe":
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open("/dev/full", os.O_WRONLY)
    process = subprocess.run(
        command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "runs/run/samples.png").is_file()
    assert "Exception" not in process.stderr
    assert load_checkpoint(tmp_path / "runs/run/last.safetensors").facts["epoch"] == 4
