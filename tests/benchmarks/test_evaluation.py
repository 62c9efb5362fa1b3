"""The benchmark of the evaluation runs and prints its ratios; the test does not judge them."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parent / "evaluation.py"


@pytest.mark.slow
def test_the_benchmark_prints_its_ratios() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--items", "2"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for text in ("log-likelihood", "other figures", "two epochs", "peak memory"):
        assert text in done.stdout
