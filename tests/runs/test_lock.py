"""Two processes never train the same run."""

import subprocess
import sys
from pathlib import Path

import pytest

from vae_cli.errors import UsageError
from vae_cli.runs.directory import Run, is_locked, locked
from vae_cli.runs.lookup import find_stopped

HOLD = """
import sys
from pathlib import Path
from vae_cli.runs.directory import Run
from vae_cli.runs.directory import locked
with locked(Run(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "runs/a").mkdir(parents=True)
    return Run(tmp_path / "runs/a")


def test_a_run_that_another_process_trains_is_refused_until_that_ends(run: Run) -> None:
    command = [sys.executable, "-c", HOLD, str(run.path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        assert is_locked(run)
        with pytest.raises(UsageError, match="run a is being trained by another process"):
            locked(run).__enter__()
        other.kill()  # the operating system releases the lock
        other.wait()
    assert not is_locked(run)
    with locked(run):
        pass


def test_resume_without_a_name_skips_a_run_that_is_being_trained(run: Run) -> None:
    other = Run(run.path.with_name("b"))
    other.path.mkdir()
    for one in (other, run):
        one.last.touch()
        one.config_file.touch()
    root = run.path.parent
    assert find_stopped(None, root) == run
    with locked(run):
        assert find_stopped(None, root) == other
        assert find_stopped("a", root) == run


def test_looking_does_not_take_the_lock(run: Run) -> None:
    with locked(run):
        assert is_locked(run)
    assert not is_locked(run)
    assert not is_locked(run)
