"""A training on two machines, for which two network namespaces with a slow link stand."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machines import Machine, two_machines, why_impossible

from vae_cli.runs.checkpoint import load_checkpoint

SMALL = ("--data", "fashion-mnist", "--limit", "256", "--hidden", "32", "--name", "run")
SMALL += ("--precision", "float32")
START = 240  # seconds that a start may take on a busy computer
ANSWER = 20  # seconds that a process waits for the others, instead of ten minutes
IMPATIENT = f"""
import sys
from vae_cli.__main__ import main
from vae_cli.training import world
world.ANSWER_SECONDS = {ANSWER}
sys.exit(main())
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def _has_namespaces() -> None:
    if reason := why_impossible():
        pytest.skip(f"no network namespaces: {reason}")


def start(machine: Machine, folder: Path, rank: int, *words: str) -> subprocess.Popen[str]:
    """`vae train` as one of two processes, started as Slurm does: with variables alone."""
    folder.mkdir(exist_ok=True)
    own = {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "10.77.0.1",
        "MASTER_PORT": "29500",
        "GLOO_SOCKET_IFNAME": machine.name,
        "OMP_NUM_THREADS": "1",
    }
    command = machine.command(sys.executable, "-c", IMPATIENT, "train", *SMALL, *words)
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | own, stdout=-1, stderr=-1, text=True
    )


def read_metrics(folder: Path) -> list[list[float]]:
    """The metrics of each epoch, without its seconds."""
    with (folder / "runs/run/metrics.csv").open() as file:
        rows = [{**row, "seconds": 0} for row in csv.DictReader(file)]
    return [[float(value) for value in row.values() if value != ""] for row in rows]


def wait_for(path: Path) -> None:
    """Wait until there is such a file."""
    end = time.monotonic() + START
    while not path.exists():
        assert time.monotonic() < end, f"{path} was not written"
        time.sleep(0.1)


def test_two_machines_have_the_losses_of_one_process(tmp_path: Path) -> None:
    alone = [sys.executable, "-m", "vae_cli", "train", *SMALL, "--epochs", "2"]
    (tmp_path / "alone").mkdir()
    own = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(alone, cwd=tmp_path / "alone", env=own, check=True, capture_output=True)
    with two_machines(rate=1e9, delay=0.5e-3) as machines:
        processes = [
            start(machine, tmp_path / str(rank), rank, "--epochs", "2")
            for rank, machine in enumerate(machines)
        ]
        try:
            said = [process.communicate(timeout=START) for process in processes]
        finally:
            for process in processes:
                process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    expected, found = (read_metrics(tmp_path / place) for place in ("alone", "0"))
    assert len(found) == len(expected) == 2
    for row, other in zip(found, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-5, abs=1e-4)
    assert not (tmp_path / "1/runs").exists(), "the first machine alone has the run"
    assert said[1] == ("", "")


def test_a_machine_that_disappears_ends_the_training_with_one_line(tmp_path: Path) -> None:
    with two_machines() as machines:
        begin = time.monotonic()
        processes = [
            start(machine, tmp_path / str(rank), rank, "--epochs", "100000")
            for rank, machine in enumerate(machines)
        ]
        try:
            wait_for(tmp_path / "0/runs/run/last.safetensors")
            machines[1].cut()
            cut = time.monotonic()
            said = [process.communicate(timeout=START) for process in processes]
            end = time.monotonic()
        finally:
            for process in processes:
                process.kill()
    assert [process.returncode for process in processes] == [1, 1], said
    assert end - cut < 2 * ANSWER + (cut - begin), "they end no slower than they have started"
    last = said[0][1].strip().splitlines()[-1]
    assert "another process has ended, or has not answered" in last
    assert "Traceback" not in said[0][1]
    kept = load_checkpoint(tmp_path / "0/runs/run/last.safetensors")
    assert kept.facts["progress"]["step"] > 0
