"""The threads of the processor: limits, and waiting beside other programs."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vae_cli import threads
from vae_cli.cli._errors import explain
from vae_cli.device import resolve_device
from vae_cli.errors import UsageError, VAEError
from vae_cli.threads import (
    CALM,
    CoreWatch,
    SleepingThreads,
    all_cores,
    can_start,
    count_cores,
    count_usable_cores,
    read_delays,
    require_threads,
    share_cores,
    spare_threads,
)

SECOND = 1_000_000_000  # nanoseconds


class Counted(SleepingThreads):
    """Counts the threads that would be started."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")


def test_threads_sleep_while_cores_are_shared_and_spin_again_when_they_have_long_been_free() -> (
    None
):
    delays, sleeping = {1: 0, 2: 0}, Counted()
    watch = CoreWatch(lambda: dict(delays), sleeping)

    def look(*shares: float) -> list[str]:
        for share in shares:
            delays[2] += int(share * SECOND)
            watch.look(1.0)
        calls, sleeping.calls = sleeping.calls, []
        return calls

    assert look(0.0, 0.1, 0.19) == []
    assert look(0.3, 0.5) == ["start"]
    assert look(*[0.01] * (CALM - 1), 0.1) == [], "they are not free long enough"
    assert look(*[0.01] * CALM) == ["stop"]
    assert (watch.is_shared, watch.was_shared) == (False, True)
    assert look(0.3) == ["start"]
    delays[3] = 9 * SECOND
    assert look(*[0.0] * CALM) == ["stop"], "what a new thread waited before it was seen is nothing"


@pytest.fixture
def rival() -> Iterator[None]:
    """A program that is always busy, on the one core that this thread may use meanwhile."""
    if not any(read_delays(threading.get_native_id()).values()):
        pytest.skip("this system does not tell how long threads wait for a core")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield
        process.kill()
    os.sched_setaffinity(0, before)


def test_a_program_on_the_same_core_is_seen_as_a_delay(rival: None) -> None:
    main = threading.get_native_id()
    computed, waited = time.thread_time(), read_delays(main)[main]
    while time.thread_time() < computed + 0.3:
        pass
    delay = read_delays(main)[main] - waited
    assert delay / (delay + 0.3 * SECOND) > threads.SHARED


SPINNING = """
import json, os, threading, time
import torch
from vae_cli.threads import TASKS, SleepingThreads
torch.set_num_threads(2)
x = torch.zeros(1 << 20)

def computed():
    own = {thread.native_id for thread in threading.enumerate()}
    tasks = [task for task in TASKS.iterdir() if int(task.name) not in own]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

def spin():
    x.add_(1)
    before = computed()
    for _ in range(20):
        x[:1 << 17].add_(1)  # so little that the time of another thread is that of its waiting
        time.sleep(0.02)
    return computed() - before

sleeping, found = SleepingThreads(), []
for _ in range(3):
    alone = spin()
    sleeping.start()
    beside = spin()
    sleeping.stop()
    found.append((alone, beside))
print(json.dumps(found))
"""


@pytest.mark.skipif(count_cores() < 2, reason="one core has nothing to wait for")
def test_threads_of_torch_hardly_spin_beside_threads_that_sleep() -> None:
    """This is a property of GNU's OpenMP, with which torch is built."""
    if not any(read_delays(threading.get_native_id()).values()):
        pytest.skip("this system does not tell how long threads compute and wait")
    own = {name: text for name, text in os.environ.items() if not name.startswith(("OMP", "GOMP"))}
    done = subprocess.run(
        [sys.executable, "-c", SPINNING], env=own, capture_output=True, text=True, check=True
    )
    for alone, beside in json.loads(done.stdout):
        assert beside < alone / 2


def test_results_are_the_same_beside_threads_that_sleep() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    sleeping, x = SleepingThreads(), torch.rand(500, 700)
    alone = (x @ x.T).exp().sum(0)
    try:
        sleeping.start()
        assert sleeping.teams
        assert torch.equal((x @ x.T).exp().sum(0), alone)
    finally:
        sleeping.stop()
        torch.set_num_threads(before)
    assert not sleeping.teams


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_what_needs_threads_is_refused_where_none_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert can_start(3)
    monkeypatch.setattr(os, "environ", {})
    spare_threads()
    assert not os.environ
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert not can_start(1)
    spare_threads()
    assert os.environ == dict.fromkeys(threads.LIMITS, "1")
    with pytest.raises(VAEError, match=r"may not start the 10 threads .* \(ulimit -u"):
        require_threads(2)
    for text in ("can't start new thread", "Resource temporarily unavailable"):
        assert explain(RuntimeError(text))[0].startswith("the system starts no more threads")


@pytest.mark.parametrize(
    ("limit", "expected"), [("max 100000", 8), ("350000 100000", 3), ("50000 100000", 1), ("", 8)]
)
def test_processes_divide_the_cores_of_a_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, expected: int
) -> None:
    monkeypatch.setattr(threads, "count_cores", lambda: 8)
    (tmp_path / "cpu.max").write_text(limit)
    assert count_usable_cores(tmp_path / "cpu.max") == expected
    assert count_usable_cores(tmp_path / "none") == 8
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(threads, "count_usable_cores", lambda: expected)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    share_cores(2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    share_cores(2)
    share_cores(16)
    assert chosen == [max(1, expected // 2), 1], "whoever has set OMP_NUM_THREADS has decided it"


@pytest.mark.parametrize("said", [None, "2"])
@pytest.mark.parametrize(("own", "processes", "count"), [(2, 3, 6), (2, 100, 8), (10, 2, 10)])
def test_one_process_computes_with_the_threads_of_all_while_they_wait(
    monkeypatch: pytest.MonkeyPatch, said: str | None, own: int, processes: int, count: int
) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(threads, "count_usable_cores", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: own)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(os, "environ", {} if said is None else {"OMP_NUM_THREADS": said})
    with all_cores(processes):
        assert os.environ == {"OMP_NUM_THREADS": str(count)}
    assert chosen == [count, own]
    assert os.environ.get("OMP_NUM_THREADS") == said


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"])
def test_one_of_several_processes_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for text in ("1", "", "all"):
        monkeypatch.setenv(variable, text)
        assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setenv(variable, "2")
    with pytest.raises(
        UsageError, match=rf"has started 2 processes \({variable}\).* start this command once"
    ):
        resolve_device("cpu")
