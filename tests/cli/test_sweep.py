"""`vae sweep` as a user runs it."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support import VAE, Refused, Use, call

from vae_cli.cli.app import main
from vae_cli.errors import NonFiniteLossError
from vae_cli.experiment import sweep
from vae_cli.experiment.run import train_run
from vae_cli.runs.directory import Run
from vae_cli.runs.lock import is_locked

SHORT = ("--limit", "512", "--epochs", "2", "--precision", "float32")


def test_a_sweep_prints_one_line_a_run_and_the_means_over_seeds(use: Use) -> None:
    words = ("sweep", "beta=0.5,2", *SHORT)
    lines = use(*words, "--seeds", "0:1").out.splitlines()
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
        (["beta=0.5,-1"], "beta=0.5,-1: objective.beta = -1: must be greater than or equal to 0"),
        (["beta=1", "--beta", "2"], "--beta and beta=1: give only one of them"),
        (["seed=1,2", "--seeds", "0:3"], "seed=1,2 and --seeds 0:3: give only one of them"),
        (["data=fashion-mnits"], "--data fashion-mnits: no such"),
        (["model=mlp,conv", "preset=small,base"], "--preset is for --model conv"),
        (["beta=1", "--name", "a/b"], "--name a/b-beta-1: use letters, digits, dots and dashes"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_run(
    refused: Refused, words: list[str], line: str
) -> None:
    assert refused("sweep", *words, "--limit", "64").startswith(line)


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


@pytest.mark.slow
def test_a_signal_stops_all_jobs(tmp_path: Path) -> None:
    words = [VAE, "sweep", "--seeds", "0:8", "--limit", "8192", "--epochs", "200", "--jobs", "2"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while len(list(tmp_path.glob("runs/*/last.safetensors"))) < 2:
            assert process.poll() is None
            time.sleep(0.2)
        process.terminate()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 143
    assert "the same command goes on" in err
    for run in (tmp_path / "runs").iterdir():
        assert not is_locked(Run(run)), "no process is left"
