"""Signals at any moment of a training: the right exit code, soon, no damaged file."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import VAE

from vae_cli.runs.checkpoint import load_checkpoint

WORDS = ["train", "--limit", "4096", "--save-every", "1s", "--name", "run", "--epochs"]
SIGNALS = [  # with the exit code, and how often a full run sends it
    (signal.SIGINT, 130, 100),
    (signal.SIGTERM, 143, 100),
    (signal.SIGHUP, 129, 40),
    (signal.SIGXCPU, 152, 40),
]


def test_sigterm_during_training_stops_it_with_the_command_to_resume(tmp_path: Path) -> None:
    words = ["train", "--limit", "512", "--epochs", "100000", "--name", "long"]
    with subprocess.Popen(
        [VAE, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
        assert process.stderr.read().splitlines()[-1].endswith("vae train --resume long")
    assert not list(tmp_path.rglob("*tmp"))
    checkpoint = load_checkpoint(tmp_path / "runs/long/last.safetensors")
    assert checkpoint.facts["progress"]["step"] > 0


def import_torch() -> float:
    """The seconds to import torch now, by which the seconds of a stop are judged."""
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.monotonic() - start


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "count"), SIGNALS)
def test_a_signal_at_a_random_moment_stops_soon_and_leaves_files_that_load(
    tmp_path: Path, times: Callable[[int, int], int], number: signal.Signals, code: int, count: int
) -> None:
    draw = random.Random(int(number))
    for turn in range(times(2, count)):
        folder = tmp_path / str(turn)
        folder.mkdir()
        with subprocess.Popen(
            [VAE, *WORDS, "3"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            time.sleep(draw.uniform(0.2, 8))  # from the imports to the previews
            process.send_signal(number)
            sent = time.monotonic()
            returned = process.wait(timeout=30)
            took = time.monotonic() - sent
            assert took < 5 * import_torch()
            assert process.stderr
            assert "Traceback" not in process.stderr.read()
        # before the command runs, a signal ends the process directly; a shell reports 128 more
        assert returned in {code, -number, 0}
        for path in folder.glob("runs/run/*.safetensors"):
            load_checkpoint(path)
        assert not list(folder.glob("runs/run/.*"))


@pytest.mark.slow
def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    last = tmp_path / "runs/run/last.safetensors"
    words = [VAE, *WORDS, "1000"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not last.exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in {130, 143}
        assert process.stderr
        assert "stopped at once" in process.stderr.read()
    load_checkpoint(last)


@pytest.mark.slow
def test_a_signal_before_the_first_step_leaves_no_run(tmp_path: Path) -> None:
    words = [VAE, "train", "--name", "run"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "runs/run/config.toml").exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (tmp_path / "runs/run").exists() == ("before the first step" not in err)


INTERRUPTED_IMPORT = """
import signal, sys
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "vae_cli.cli._app":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
from vae_cli.__main__ import main
sys.exit(main())
"""


def test_ctrl_c_during_the_imports_prints_one_line() -> None:
    words = [sys.executable, "-c", INTERRUPTED_IMPORT]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "stopped\n")
