"""SIGINT and SIGTERM at any moment of the real app: the right exit code, soon, nothing broken."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import VAE

from vae_cli import checkpoint

WORDS = ["train", "--limit", "4096", "--epochs", "3", "--save-every", "1s", "--name", "run"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_a_random_moment_stops_in_time_and_keeps_what_loads(
    tmp_path: Path, times: Callable[[int, int], int], number: signal.Signals, code: int
) -> None:
    draw = random.Random(int(number))
    for turn in range(times(2, 100)):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with subprocess.Popen(
            [VAE, *WORDS], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            time.sleep(draw.uniform(0.2, 8))  # from importing to drawing the pictures
            process.send_signal(number)
            sent = time.monotonic()
            found = process.wait(timeout=30)
            assert time.monotonic() - sent < 5
            assert process.stderr
            assert "Traceback" not in process.stderr.read()
        # before the command runs, SIGTERM ends the process as the system does; a shell says 143
        assert found in {code, -number, 0}
        for path in folder.glob("runs/run/*.safetensors"):
            checkpoint.load(path)
        assert not list(folder.glob("runs/run/.*"))


def test_a_second_signal_does_not_ask(tmp_path: Path) -> None:
    last = tmp_path / "runs/run/last.safetensors"
    words = [VAE, *WORDS, "--epochs", "1000"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not last.exists():
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        assert process.wait(timeout=30) in {130, 143}
        assert time.monotonic() - sent < 1
        assert process.stderr
        assert "stopped at once" in process.stderr.read()
    checkpoint.load(last)


def test_a_run_that_never_learned_leaves_nothing(tmp_path: Path) -> None:
    words = [VAE, "train", "--name", "run"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "runs/run/config.toml").exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (tmp_path / "runs/run").exists() == ("before the first step" not in err)


INTERRUPTED_IMPORT = """
import signal, sys
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "vae_cli.cli":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from vae_cli.__main__ import main
sys.exit(main())
"""


def test_ctrl_c_while_modules_are_imported_is_one_line() -> None:
    words = [sys.executable, "-c", INTERRUPTED_IMPORT]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "stopped\n")
