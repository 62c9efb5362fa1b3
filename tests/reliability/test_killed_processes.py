"""A run of which one process is killed goes on, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import VAE

from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run

KILLED = Path(__file__).parent / "killed_processes.py"
COMBINATIONS = 15  # of five phases, and the launcher and two processes
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
WORDS = [
    "train",
    "--limit",
    "1024",
    "--hidden",
    "32",
    "--precision",
    "float32",
    "--save-every",
    "1",
]


@pytest.mark.slow
def test_a_kill_of_any_process_in_any_phase_leaves_no_trace_in_the_result(
    tmp_path: Path, times: Callable[[int, int], int]
) -> None:
    count = times(1, 10)
    script = [sys.executable, str(KILLED), str(tmp_path), "0", str(count)]
    path = {"PYTHONPATH": str(KILLED.parent)}  # a command in this process may have set a safe path
    done = subprocess.run(
        script, env=os.environ | path, capture_output=True, text=True, check=False, timeout=7200
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["kills"] == count * COMBINATIONS


def rows_of(run: Run) -> list[str]:
    """The metrics without their seconds."""
    return [line.rpartition(",")[0] for line in run.metrics_file.read_text().splitlines()]


def workers_of(launcher: int) -> dict[int, int]:
    """The processes that a launcher has started, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names = (folder / "environ").read_bytes().split(b"\0") if parent == launcher else []
        except OSError:
            continue
        found |= {int(name[5:]): int(folder.name) for name in names if name.startswith(b"RANK=")}
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("is_named", [True, False])
def test_torchrun_goes_on_with_its_run_after_a_kill(tmp_path: Path, is_named: bool) -> None:
    """Once before anything was saved, and once after that, with a name and without one."""
    words = [*WORDS, "--epochs", "60", *(["--name", "run"] if is_named else [])]
    whole = [VAE, *WORDS, "--epochs", "60", "--name", "whole", "--processes", "2"]
    subprocess.run(whole, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    command = [*TORCHRUN, "--max-restarts", "3", "-m", "vae_cli", *words]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as launcher:
        try:
            for rank, file in ((1, "config.toml"), (0, "last.safetensors")):
                while not (found := list(tmp_path.glob(f"runs/[!w]*/{file}"))):
                    assert launcher.poll() is None
                    time.sleep(0.02)
                os.kill(workers_of(launcher.pid)[rank], signal.SIGKILL)
            _, err = launcher.communicate(timeout=300)
        finally:
            launcher.kill()
    assert launcher.returncode == 0, err
    assert "starts again, because nothing was saved yet" in err
    assert "goes on from its last save, in epoch" in err
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"whole", found[0].parent.name}
    assert rows_of(Run(found[0].parent)) == rows_of(Run(tmp_path / "runs" / "whole"))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_of_process_0_ends_all_with_one_line_and_keeps_what_was_saved(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting is not allowed on this machine")
    try:
        words = [VAE, *WORDS, "--epochs", "40", "--name", "run", "--processes", "2"]
        with subprocess.Popen(words, cwd=disk, stderr=subprocess.PIPE, text=True) as launcher:
            try:
                while not (disk / "runs/run/last.safetensors").exists():
                    assert launcher.poll() is None
                    time.sleep(0.02)
                with (disk / "filler").open("wb") as file:
                    file.write(b"x" * (3 << 20))
            except OSError:
                pass  # the disk is full
            _, err = launcher.communicate(timeout=300)
        lines = err.splitlines()
        assert launcher.returncode == 1, err
        assert [line for line in lines if "error:" in line] == [lines[-1]]
        assert "No space left on device" in lines[-1]
        assert any(line.startswith("not saved, will try again: ") for line in lines)
        for path in (disk / "runs/run").glob("*.safetensors"):
            load_checkpoint(path)
    finally:
        subprocess.run(["umount", disk], check=True)
