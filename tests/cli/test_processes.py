"""Commands that several processes do together, as a person starts, stops and breaks them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import numpy as np
import pytest
import torch
from support import VAE, Vae
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from vae_cli.cli import _jobs
from vae_cli.cli._console import Terminal
from vae_cli.cli._errors import explain
from vae_cli.cli._launcher import explain_failures
from vae_cli.cli._processes import ERROR_FILE, GRACE_SECONDS, write_error
from vae_cli.cli._signals import StopSignals
from vae_cli.errors import (
    InterruptedRunError,
    LostProcessError,
    NonFiniteLossError,
    UsageError,
    VAEError,
)
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.settings import expand_sweep, parse_axis, read_config

PACKAGE = Path(__file__).parents[2]
SMALL = ("--limit", "256", "--device", "cpu")
LONG = (*SMALL, "--epochs", "100000", "--name", "long", "--save-every", "1")
SECONDS = 60  # in which everything here has ended, or a test fails

Ended = tuple[int, list[str]]  # the exit code, and what was said after the run and its data


@final
class Training:
    """A long training by several processes in a folder, which has trained for an epoch or two.

    Attributes:
        launcher: the process that a person has started.
        processes: the ids of those that train, by rank.
    """

    def __init__(self, folder: Path, count: int = 2) -> None:
        self.folder = folder
        words = [VAE, "train", "--processes", str(count), *LONG]
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
            environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(self.temporary)}
            self.launcher = subprocess.Popen(
                words, cwd=folder, stdout=out, stderr=err, env=environment
            )
        wait_until(lambda: self.rows > 0 or self.launcher.poll() is not None)
        assert self.rows, (folder / "err").read_text()
        self.processes = children_of(self.launcher.pid)
        assert len(self.processes) == count

    @property
    def rows(self) -> int:
        """The epochs that are printed."""
        lines = (self.folder / "out").read_text().splitlines()
        return sum(line.split()[0].isdecimal() for line in lines if line.split())

    def send(self, number: signal.Signals, *ids: int) -> None:
        """Send a signal to some processes, the first ones first."""
        for one in ids:
            os.kill(one, number)

    def end(self) -> Ended:
        """Wait until all processes have ended; none may be left, and no folder of the launcher."""
        code = self.launcher.wait(SECONDS)
        wait_until(lambda: not any(map(is_alive, self.processes)))
        assert not list(self.temporary.glob("vae-*"))
        _run, _data, *said = (self.folder / "err").read_text().splitlines()
        return code, said

    def kill(self) -> None:
        """End everything, whatever it does."""
        self.launcher.kill()
        for one in filter(is_alive, self.processes):
            os.kill(one, signal.SIGKILL)
        self.launcher.wait(SECONDS)


@contextmanager
def training(folder: Path, count: int = 2) -> Iterator[Training]:
    """A training of which nothing is left at the end."""
    found = Training(folder, count)
    try:
        yield found
    finally:
        found.kill()


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.05)


def children_of(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return sorted(map(int, found))


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_pending(number: signal.Signals, process: int) -> bool:
    """Whether a process that is halted has got a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    (pending,) = re.findall(r"^ShdPnd:\s*(\w+)$", status, re.MULTILINE)
    return bool(int(pending, 16) >> (number - 1) & 1)


def listening(processes: Sequence[int]) -> list[str]:
    """The addresses at which processes listen, as Linux writes them."""
    sockets = set()
    for process in processes:
        for path in Path(f"/proc/{process}/fd").iterdir():
            sockets |= set(re.findall(r"socket:\[(\d+)\]", str(path.readlink())))
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                found.append(fields[1].partition(":")[0])
    return found


def saved_epoch(folder: Path) -> int:
    return int(load_checkpoint(folder / "runs" / "long" / "last.safetensors").facts["epoch"])


def test_two_processes_train_a_run_of_which_one_prints(vae: Vae, tmp_path: Path) -> None:
    name = "costs $$5.npy"  # torch's agent would take it for a template
    np.save(tmp_path / name, np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8))
    words = ("--data", name, "--epochs", 2, "--name", "run", "--device", "cpu")
    done = vae("train", "--processes", 2, *words)
    assert done.returncode == 0, done.stderr
    head, *rows, _reconstructions, _samples = done.stdout.splitlines()
    assert head.split()[0] == "epoch"
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert done.stderr.count("costs $$5: ") == 1
    assert not re.search(r"OMP|Warning|\[[WE]\d|Traceback", done.stderr), done.stderr
    config = read_config(tmp_path / "runs" / "run" / "config.toml")
    assert config["training"]["processes"] == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--data", "nothing"),
        ("--learning-rate", "fast"),
        ("--processes", "0"),
        ("--resume",),
        ("--start-from", "nothing"),
    ],
)
def test_a_typo_is_answered_before_anything_is_started(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, words: Sequence[str]
) -> None:
    def start(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("vae_cli.cli._launcher.launch", start)
    assert refused("train", "--processes", 2, *words)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU])
@pytest.mark.parametrize("who", ["launcher", 0, 1, "all"])
def test_a_signal_to_any_of_them_saves_once_with_one_line(
    tmp_path: Path, number: signal.Signals, who: int | str
) -> None:
    with training(tmp_path) as found:
        assert set(listening([found.launcher.pid, *found.processes])) == {"0100007F"}, "loopback"
        some = [found.launcher.pid, *found.processes]
        found.send(number, *(some if who == "all" else [some[who + 1 if who != "launcher" else 0]]))
        code, said = found.end()
    assert code == 128 + number
    epoch = saved_epoch(tmp_path) + 1
    assert said == [f"stopped in epoch {epoch}; go on with: vae train --resume long"]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_process_that_is_killed_is_named_and_no_other_is_left(tmp_path: Path, rank: int) -> None:
    with training(tmp_path, 3) as found:
        start = time.monotonic()
        found.send(signal.SIGKILL, found.processes[rank])
        code, said = found.end()
        assert time.monotonic() - start < GRACE_SECONDS, "they were killed, and did not end"
    assert code == 1
    (line,) = said
    assert line.startswith(f"error: process {rank} was killed (SIGKILL), perhaps because the memor")
    assert saved_epoch(tmp_path) > 0
    assert rank == 0 or line.endswith("; go on with: vae train --resume long")


@pytest.mark.slow
def test_if_the_launcher_is_killed_the_processes_save_and_end(tmp_path: Path) -> None:
    with training(tmp_path) as found:
        found.send(signal.SIGKILL, found.launcher.pid)
        code, said = found.end()
    assert code == -signal.SIGKILL
    epoch = saved_epoch(tmp_path) + 1
    assert said == [f"stopped in epoch {epoch}; go on with: vae train --resume long"]


@pytest.mark.slow
def test_a_third_signal_ends_all_at_once(tmp_path: Path) -> None:
    with training(tmp_path) as found:
        found.send(signal.SIGSTOP, *found.processes)  # as if the save took long
        found.send(signal.SIGINT, found.launcher.pid)
        wait_until(lambda: all(is_pending(signal.SIGTERM, one) for one in found.processes))
        found.send(signal.SIGINT, found.launcher.pid)
        wait_until(lambda: "saving what was learned" in (tmp_path / "err").read_text())
        found.send(signal.SIGINT, found.launcher.pid)
        code, lines = found.end()
    assert code == 130
    assert lines == [
        "saving what was learned; once more stops at once, without saving",
        "stopped at once: what was learned since the last save is lost",
    ]


@pytest.mark.slow
def test_an_error_on_which_all_agree_is_one_line(vae: Vae) -> None:
    done = vae("train", "--processes", 2, *SMALL, "--learning-rate", 1, "--name", "far")
    assert done.returncode == 3, done.stderr
    _run, _data, line = done.stderr.splitlines()
    assert re.fullmatch(
        r"error: the loss or its gradient is not finite in epoch \d+: try a lower --learning-rate"
        r"(; the weights of epoch \d+ are kept)?",
        line,
    )


LOST = LostProcessError("another process has ended", "go on with: this")
KILLED = "process 1 was killed (SIGKILL), perhaps because the memory is full; go on with: this"


@pytest.mark.parametrize(
    ("ends", "line", "code"),
    [
        ({0: (1, LOST), 1: (-9, None)}, KILLED, 1),
        ({0: (-15, None), 1: (-11, None)}, "process 1 has crashed (SIGSEGV)", 1),
        ({0: (1, LOST), 1: (2, UsageError("no such data"))}, "no such data", 2),
        ({0: (-9, UsageError("no such data")), 1: (-15, None)}, "no such data", 2),
        ({1: (3, NonFiniteLossError("one")), 0: (3, NonFiniteLossError("kept"))}, "kept", 3),
        ({0: (1, LOST), 1: (143, InterruptedRunError("saved", signal.SIGTERM))}, "saved", 143),
        ({1: (1, VAEError("first")), 0: (2, UsageError("later"))}, "first", 1),
        ({0: (143, None), 1: (-15, None)}, "stopped", 143),
        ({0: (130, KeyboardInterrupt()), 1: (-15, None)}, "stopped", 130),
        ({0: (-15, None), 1: (7, None)}, "process 1 has ended with exit code 7", 7),
    ],
)
def test_the_error_of_several_processes_is_the_cause_and_not_what_it_led_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ends: dict[int, tuple[int, BaseException | None]],
    line: str,
    code: int,
) -> None:
    failures, clock = {}, SimpleNamespace(time=iter(range(9)).__next__)
    monkeypatch.setattr("vae_cli.cli._processes.time", clock)
    for rank, (exit_code, error) in ends.items():
        file = tmp_path / f"{rank}.json"
        if error is not None:
            monkeypatch.setenv(ERROR_FILE, str(file))
            write_error(error)
        failures[rank] = ProcessFailure(rank, 1, exit_code, str(file))
    found = explain_failures(failures, None)
    assert isinstance(found, VAEError)
    assert (found.message, found.exit_code) == (line, code)
    if isinstance(found, InterruptedRunError):  # a Ctrl-C was passed on as a SIGTERM
        assert explain(explain_failures(failures, signal.SIGINT))[1] == 130


@pytest.mark.slow
def test_processes_run_what_the_person_ran(tmp_path: Path) -> None:
    """Here a changed copy of the package, which is found in the current folder."""
    shutil.copytree(PACKAGE / "vae_cli", tmp_path / "code" / "vae_cli")
    changed = tmp_path / "code" / "vae_cli" / "runs" / "directory.py"
    changed.write_text(changed.read_text().replace('ROOT = Path("runs")', 'ROOT = Path("mine")'))
    words = ["-m", "vae_cli", "train", "--processes", "2", *SMALL, "--epochs", "1", "--debug"]
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path / "code",
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "code").iterdir()) == ["mine", "vae_cli"]


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_torchrun_may_start_the_processes(tmp_path: Path, nodes: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    meeting = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    run = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(nodes)]
    work = ["-m", "vae_cli", "train", *SMALL, "--epochs", "1", "--name", "run"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    agents = [
        subprocess.Popen(
            [*run, "--nproc-per-node", str(2 // nodes), "--node-rank", str(node), *meeting, *work],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in range(nodes)
    ]
    try:
        outputs = [agent.communicate(timeout=SECONDS) for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    assert [agent.returncode for agent in agents] == [0] * nodes, outputs
    assert "".join(out for out, _ in outputs).count("epoch  ") == 1
    assert read_config(tmp_path / "runs" / "run" / "config.toml")["training"]["processes"] == 2


@pytest.mark.slow
def test_a_command_that_shares_no_work_is_refused_under_srun(vae: Vae, tmp_path: Path) -> None:
    place = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_ID": "7"}
    steps = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2"}
    assert vae("train", *SMALL, "--epochs", 1, "--name", "run").returncode == 0
    done = vae("sample", cwd=tmp_path, **place, **steps, SLURM_STEP_NODELIST="here")
    assert done.returncode == 2
    assert done.stderr.startswith("error: srun has started 2 processes (SLURM_STEP_NUM_TASKS)")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_by_several_processes_is_stopped_as_a_whole_and_goes_on(
    tmp_path: Path, vae: Vae, number: signal.Signals
) -> None:
    """Two jobs of two processes each."""
    words = ["sweep", "beta=0.5,1", "--processes", "2", "--jobs", "2", *SMALL, "--epochs", "60"]
    stopped = subprocess.Popen(
        [VAE, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = tmp_path / "runs" / "sweep-beta-0.5" / "metrics.csv"
    try:
        wait_until(first.is_file)
        stopped.send_signal(number)
        out, err = stopped.communicate(timeout=SECONDS)
    finally:
        stopped.kill()
    assert not out
    wait_until(lambda: not runs_with(tmp_path))
    if number == signal.SIGINT:
        assert stopped.returncode == 130
        assert err.splitlines()[-1].startswith("stopped in run 1/2, sweep-beta-0.5; the")
        assert load_checkpoint(first.with_name("last.safetensors")).facts["epoch"] > 0
    done = vae(*words)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()[:1]] == ["sweep-beta-0.5"]
    assert read_config(first.with_name("config.toml"))["training"]["processes"] == 2


def test_a_job_leaves_a_run_whose_processes_another_job_is_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    started: list[Sequence[str]] = []
    layers = [("typed", {"training": {"processes": 2}})]
    (variant,) = expand_sweep("sweep", layers, [parse_axis("beta=2")])

    def launch(words: Sequence[str], *_: Any) -> None:
        started.append(words)
        with StopSignals() as signals:
            failed = _jobs.train_all([variant], Terminal(), signals)
        assert not failed

    monkeypatch.setattr("vae_cli.cli._launcher.launch", launch)
    for _ in range(2):
        assert _jobs.train_in_processes(variant, StopSignals()) == "trained"
    assert [words[-1] for words in started] == [variant.name] * 2
    assert not list((tmp_path / "runs").iterdir())
    assert capsys.readouterr().out.count("left to another process") == 2


def test_the_processes_of_a_job_divide_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    for said, parts, expected in ((None, 2, "2"), (None, 8, "1"), ("3", 2, "3")):
        monkeypatch.setattr(os, "environ", {} if said is None else {"OMP_NUM_THREADS": said})
        with _jobs.divided_cores(parts):
            assert os.environ["OMP_NUM_THREADS"] == expected
        assert os.environ.get("OMP_NUM_THREADS") == said


def runs_with(folder: Path) -> list[int]:
    """The processes of `vae` that work in a folder."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                inside = (path / "cwd").readlink() == folder
                found += [int(path.name)] * (inside and b"vae" in (path / "cmdline").read_bytes())
            except OSError:  # it has ended
                continue
    return found
