"""Work that one of several processes does for all. Threads stand for processes where they can."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from vae_cli import locks
from vae_cli.data import shared_memory
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.sharing import share_work
from vae_cli.errors import UsageError

pytestmark = pytest.mark.skipif(
    not shared_memory.HAS_MEMORY_FILES, reason="only Linux has files in memory"
)
PLACE = {
    **{"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3"},
    **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)
    yield tmp_path / "cache"
    assert not list((tmp_path / "cache").glob("shared-*")), "a file of a lock is left"


def in_threads(work: Callable[[Progress], object], progress: Progress = ignore_progress) -> list:
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda _: share_work("work", work, progress), range(3)))


def test_one_does_the_work_and_the_others_see_its_progress_and_map_what_it_has() -> None:
    calls: list[int] = []
    seen: list[tuple[int, int]] = []

    def work(progress: Progress) -> torch.Tensor:
        calls.append(1)
        progress(3, 10)
        time.sleep(0.5)
        return torch.arange(10_000)

    found = in_threads(work, lambda done, total: seen.append((done, total)))
    assert len(calls) == 1
    assert all(one.equal(torch.arange(10_000)) for one in found)
    assert len({one.data_ptr() for one in found}) == 3, "each has a mapping of its own"
    assert seen.count((3, 10)) > 2, "the bar of a process that waits moves"


def test_the_work_is_called_as_it_is_by_a_process_that_is_alone(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    tensor = torch.zeros(3)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert share_work("work", lambda _: tensor) is tensor
    for name in PLACE:
        monkeypatch.delenv(name)
    assert share_work("work", lambda _: tensor) is tensor
    assert not cache.exists()


def test_warnings_are_repeated_for_all_and_an_error_is_found_by_all() -> None:
    def warn(progress: Progress) -> int:
        warnings.warn("it is strange", stacklevel=1)
        return 1

    with pytest.warns(UserWarning, match="it is strange") as caught:
        keep = [share_work("work", lambda p: (warn(p), torch.zeros(9))) for _ in range(2)]
    assert len(caught) == len(keep) == 2

    def fail(progress: Progress) -> None:
        raise UsageError("row 7 is wrong")

    for _ in range(2):
        with pytest.raises(UsageError, match="row 7"):
            share_work("other", fail)


@pytest.mark.parametrize("reason", ["no locks", "no folder", "no pickle", "no memory"])
def test_where_nothing_can_be_shared_each_process_does_the_work(
    reason: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    calls: list[int] = []
    value: object = torch.arange(3)

    def refuse(name: str) -> int:
        raise PermissionError(1, "not permitted")

    match reason:
        case "no locks":
            monkeypatch.setattr(locks, "fcntl", None)
        case "no folder":
            cache.write_bytes(b"")
        case "no pickle":
            value = threading.Lock()
        case "no memory":
            monkeypatch.setattr(os, "memfd_create", refuse)

    def work(progress: Progress) -> object:
        calls.append(1)
        return value

    assert all(one is value for one in in_threads(work))
    assert len(calls) == 3
    for leftover in cache.glob("shared-*") if cache.is_dir() else ():
        leftover.unlink()  # it is held until the process ends


WORKER = """
import sys, time, torch
from vae_cli.data.sharing import share_work
def work(progress):
    for done in range(int(sys.argv[1])):
        print("working", flush=True)
        progress(done, 100)
        time.sleep(0.1)
    return torch.full((300, 50), 7)
found = share_work("work", work)
assert found.eq(7).all()
print("done", flush=True)
sys.stdin.readline()
"""


def start(rank: int, steps: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(steps)],
        env={**os.environ, "LOCAL_RANK": str(rank), "RANK": str(rank)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_if_the_process_that_does_the_work_is_killed_one_that_waits_takes_over(cache: Path) -> None:
    workers = [start(0, 10_000)]
    try:
        assert workers[0].stdout is not None
        workers[0].stdout.readline()
        workers += [start(1, 3), start(2, 3)]
        (lock,) = cache.glob("shared-*.lock")
        while json.loads(lock.read_text() or '{"done": 0}')["done"] < 30:
            time.sleep(0.1)
        workers[0].send_signal(signal.SIGKILL)
        outputs = []
        for worker in workers[1:]:
            assert worker.stdout is not None
            lines = []
            while not lines or (lines[-1] and lines[-1] != "done\n"):
                lines.append(worker.stdout.readline())
            outputs.append(lines)
        assert sorted(map(len, outputs)) == [1, 4], "one took over, and the other waited for it"
        assert [lines[-1] for lines in outputs] == ["done\n", "done\n"]
        for worker in workers[1:]:
            worker.communicate("\n", timeout=60)
            assert worker.returncode == 0
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate(timeout=60)
