"""Locks and cache entries that several processes share, while some of them are killed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vae_cli.data.shared_memory import HAS_MEMORY_FILES

SHARED = Path(__file__).parent / "shared.py"
Times = Callable[[int, int], int]


def run(what: str, folder: Path, kills: int) -> dict[str, int]:
    script = [sys.executable, str(SHARED), what, str(folder), "0", str(kills)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    assert found["kills"] >= kills
    assert not done.stderr
    return found


@pytest.mark.slow
def test_a_lock_has_one_holder_and_a_kill_releases_it(tmp_path: Path, times: Times) -> None:
    found = run("locks", tmp_path, times(20, 1_000))
    assert (found["overlaps"], found["stuck"]) == (0, 0)


@pytest.mark.slow
def test_a_cache_entry_is_right_whoever_is_killed_while_it_is_filled(
    tmp_path: Path, times: Times
) -> None:
    found = run("caches", tmp_path, times(20, 500))
    assert (found["failed"], found["leftovers"]) == (0, 0)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_MEMORY_FILES, reason="only Linux has files in memory")
def test_the_data_of_a_training_are_right_whoever_is_killed_while_they_are_read(
    tmp_path: Path, times: Times
) -> None:
    found = run("works", tmp_path, times(20, 500))
    assert (found["failed"], found["leftovers"]) == (0, 0)
