"""The benchmarks run and print all of their results; these tests do not judge the numbers."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def run_benchmark(*options: str, name: str = "speed.py") -> str:
    done = subprocess.run(
        [sys.executable, FOLDER / name, *options], capture_output=True, text=True, check=False
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


@pytest.mark.slow
def test_trainings_beside_each_other_are_compared_with_one_alone() -> None:
    options = ("--count", "2", "--turns", "1", "--epochs", "2", "--items", "256")
    policies = ("--policy", "vae", "--policy", "one")
    first, second, *lines = run_benchmark(*options, *policies, name="beside.py").splitlines()
    assert first.endswith("seconds an epoch of 256 images, medians")
    assert second.startswith("spin alone: ")
    assert [line.split()[:2] for line in lines] == [["vae", "alone"], ["one", "alone"]]
    assert all("2 at once" in line for line in lines)


@pytest.mark.slow
def test_steps_of_processes_are_compared_with_what_they_cannot_do_without() -> None:
    options = ("overhead", "--model", "mlp", "--processes", "2", "--turns", "1")
    printed = run_benchmark(*options, name="distributed.py")
    for text in ("compute", "exchange", "overhead", "mlp"):
        assert text in printed


@pytest.mark.slow
def test_larger_batches_are_compared_for_each_rule() -> None:
    options = ("mlp", "--items", "256", "--epochs", "1", "--seed", "0", "--batch-size", "256")
    lines = run_benchmark(*options, name="batches.py").splitlines()
    rules = ("unscaled rate 0.005", "sqrt rate 0.007071", "linear rate 0.01")
    assert [line.split(":")[0] for line in lines] == [
        f"mlp, batch 256, 1 epochs, {rule}" for rule in rules
    ]
