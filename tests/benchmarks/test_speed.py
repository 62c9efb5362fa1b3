"""The benchmark runs and prints all of its results; this test does not judge the numbers."""

import subprocess
import sys
from pathlib import Path

import pytest

SPEED = Path(__file__).parent / "speed.py"


def run_benchmark(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, SPEED, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_benchmark_prints_its_results() -> None:
    printed = run_benchmark("--turns", "1")
    for text in ("article's loop", "floor", "peak memory", "import torch", "ten times"):
        assert text in printed


def test_the_options_of_the_benchmark_are_listed() -> None:
    assert "--whole" in run_benchmark("--help")
