"""`vae sweep` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support import VAE, Refused, Use, call

from vae_cli.cli._app import main
from vae_cli.errors import NonFiniteLossError
from vae_cli.runs import sweep
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run, is_locked
from vae_cli.runs.train import train_run

SHORT = ("--limit", "512", "--epochs", "2", "--precision", "float32")


def test_a_sweep_prints_one_line_a_run_and_the_means_over_seeds(use: Use) -> None:
    words = ("sweep", "beta=0.5,2", *SHORT)
    said = use(*words, "--seeds", "0:1")
    assert "seed" not in said.err
    lines = said.out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [
        ["1/2", "sweep-beta-0.5-seed-0"],
        ["2/2", "sweep-beta-2-seed-0"],
    ]
    assert lines[2].split()[:3] == ["beta", "n", "test_kl"]
    said = use(*words, "--seeds", "0:2")
    lines = said.out.splitlines()
    assert [line.endswith("finished before") for line in lines[:4]] == [True, False, True, False]
    assert [line.split()[:2] for line in lines[5:]] == [["0.5", "2"], ["2.0", "2"]]
    records = json.loads(use(*words, "--seeds", "0:2", "--json").out)
    assert [run["state"] for run in records["runs"]] == ["finished"] * 4
    assert records["groups"][0]["settings"] == {"objective.beta": 0.5}


def test_a_run_that_fails_does_not_end_the_sweep(
    here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_once(run: Run, *words: Any, **more: Any) -> Any:
        if "lr" in run.name and "0.5" in run.name:
            raise NonFiniteLossError("the loss is not finite")
        return train_run(run, *words, **more)

    monkeypatch.setattr(sweep, "train_run", fail_once)
    assert main(["sweep", "learning-rate=0.5,0.005", "--name", "lr", *SHORT]) == 1
    out, err = capfd.readouterr()
    assert "1/2 lr-learning-rate-0.5: the loss is not finite\n" in err
    assert err.endswith("error: 1 of 2 runs failed; the first: the loss is not finite\n")
    assert out.startswith("2/2 lr-learning-rate-0.005 ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "nothing is varied: name a setting, as in beta=0.5,1,4, or --seeds 0:3"),
        (["beta=0.5,-1"], "beta=0.5,-1: objective.beta = -1: must be auto, or 0 ≤ x"),
        (["beta=1", "--beta", "2"], "--beta and beta=1: give only one of them"),
        (["seed=1,2", "--seeds", "0:3"], "seed=1,2 and --seeds 0:3: give only one of them"),
        (["device=cpu,tpu"], 'device=cpu,tpu: training.device = "tpu"'),
        (["data=fashion-mnits"], "--data fashion-mnits: no such"),
        (
            ["model=mlp,conv", "preset=small,base"],
            "preset=small,base: --preset is for --model conv",
        ),
        (["beta=1", "--name", "a/b"], "--name a/b-beta-1: use letters, digits, dots and dashes"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_run(
    refused: Refused, words: list[str], line: str
) -> None:
    assert refused("sweep", *words, "--limit", "64").startswith(line)


def test_one_number_of_a_seed_is_named_as_one_seed(use: Use) -> None:
    said = use("sweep", "--seeds", "3", "--limit", "64", "--epochs", "1")
    assert said.out.startswith("1/1 sweep-seed-3 ")
    assert said.err.splitlines()[:2] == [
        "--seeds 3 is one seed; for 3 seeds: --seeds 0:3",
        "1 run in runs/, cpu (1 thread)",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_after_a_kill_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    words = ["sweep", "--seeds", "0:3", "--limit", "8192", "--epochs", "5"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [VAE, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as sweep:
        assert sweep.stdout
        assert sweep.stdout.readline().startswith("1/3 ")
        sweep.send_signal(number)
        _, err = sweep.communicate(timeout=60)
    assert sweep.returncode == code
    if number == signal.SIGINT:
        assert err.endswith("stopped in run 2/3, sweep-seed-1; the same command goes on\n")
    done = call(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("finished before")
    assert lines[-1].split()[0] == "3", "the only group has three runs"


@pytest.mark.slow
def test_two_processes_share_a_sweep(tmp_path: Path) -> None:
    words = [VAE, "sweep", "--seeds", "0:4", "--limit", "8192", "--epochs", "4"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with (
        subprocess.Popen(words, cwd=tmp_path, text=True, **pipes) as first,
        subprocess.Popen(words, cwd=tmp_path, text=True, **pipes) as second,
    ):
        outputs = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    trained = [line for out, _ in outputs for line in out.splitlines() if line.endswith(" s")]
    assert len(trained) == 4
    assert len({line.split()[1] for line in trained}) == 4


@pytest.mark.slow
def test_two_jobs_train_all_runs_and_end_in_one_table(tmp_path: Path) -> None:
    words = [VAE, "sweep", "beta=0.5,1", "--seeds", "0:2", "--limit", "2048", "--epochs", "2"]
    done = subprocess.run(
        [*words, "--jobs", "2", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    records = json.loads(done.stdout)
    assert [run["state"] for run in records["runs"]] == 4 * ["finished"]
    assert [len(group["runs"]) for group in records["groups"]] == [2, 2]


JOBS = ("sweep", "--seeds", "0:9", "--limit", "512", "--epochs", "100000", "--jobs", "2")


@contextmanager
def two_jobs(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep in a process group of its own, as a shell starts it; nothing is left at the end.

    Each run is saved after its first epoch, and then not for a long time.
    """
    with subprocess.Popen(
        [VAE, *JOBS, "--save-every", "1000m"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for_two_saves(folder: Path, process: subprocess.Popen[str]) -> dict[Path, int]:
    """The two runs that are trained at the same time, and the steps that are saved of each."""
    while len(runs := sorted(folder.glob("runs/*/last.safetensors"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    return {run: load_checkpoint(run).facts["progress"]["step"] for run in runs}


def require_saved(before: dict[Path, int]) -> None:
    """No process trains any more, and each run was saved after what was saved before."""
    for path, step in before.items():
        assert not is_locked(Run(path.parent)), "no process is left"
        assert load_checkpoint(path).facts["progress"]["step"] > step


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_of_the_terminal_saves_every_job(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """A terminal sends it to all processes, and the first one tells the others as well."""
    with two_jobs(tmp_path) as process:
        before = wait_for_two_saves(tmp_path, process)
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert [line for line in err.splitlines() if "stopped" in line] == err.splitlines()[-1:]
    assert "the same command goes on" in err
    assert len(err.splitlines()) == 2, err
    require_saved(before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_first_process_alone_saves_every_other_job(
    tmp_path: Path, number: signal.Signals
) -> None:
    with two_jobs(tmp_path) as process:
        before = wait_for_two_saves(tmp_path, process)
        locked = before if number == signal.SIGTERM else runs_of_others(process.pid, before)
        process.send_signal(number)
        process.communicate(timeout=60)  # until no process holds the pipes
    require_saved(locked)


@pytest.mark.slow
def test_ctrl_c_while_the_jobs_start_is_one_line(tmp_path: Path) -> None:
    with two_jobs(tmp_path) as process:
        while len(children_of(process.pid)) < 2:  # one watches the resources of the others
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (130, "", "stopped before the first step\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_second_signal_ends_every_job_at_once(tmp_path: Path) -> None:
    with two_jobs(tmp_path) as process:
        wait_for_two_saves(tmp_path, process)
        process.send_signal(signal.SIGSTOP)  # so that both signals are there before it goes on
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            process.send_signal(number)
        _, err = process.communicate(timeout=60)  # until no process holds the pipes
    assert process.returncode in {130, 143}
    assert err.endswith("stopped at once: what was learned since the last save is lost\n")


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    if not tasks.exists():
        pytest.skip("this system does not list the children of a process")
    return [int(child) for child in tasks.read_text().split()]


def runs_of_others(pid: int, saved: dict[Path, int]) -> dict[Path, int]:
    """The runs that are trained by another process than `pid`."""
    handles = {handle.readlink() for handle in Path(f"/proc/{pid}/fd").iterdir()}
    return {path: step for path, step in saved.items() if path.parent not in handles}


TRAP = "open({path!r}, 'w').close(); raise SystemExit('imported')"


@pytest.mark.slow
def test_no_process_imports_from_the_current_folder(tmp_path: Path) -> None:
    """Modules of the standard library that are imported while a process starts, and by `vae`."""
    trapped = tmp_path / "imported"
    for name in (*sys.stdlib_module_names, "torch", "numpy", "typer", "rich"):
        if name not in sys.builtin_module_names and name.isidentifier():
            (tmp_path / f"{name}.py").write_text(TRAP.format(path=str(trapped)))
    words = ["--seeds", "0:2", "--limit", "64", "--epochs", "1", "--jobs", "2"]
    done = call("sweep", *words, cwd=tmp_path)
    assert not trapped.exists()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
