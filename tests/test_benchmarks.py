"""The benchmark works; what it measures is for a quiet machine."""

import subprocess
import sys
from pathlib import Path

SPEED = Path(__file__).parent / "benchmarks" / "speed.py"


def test_the_benchmark_prints_its_table() -> None:
    done = subprocess.run(
        [sys.executable, SPEED, "--turns", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in ("article's loop", "floor", "peak memory", "import torch", "ten times"):
        assert line in done.stdout
