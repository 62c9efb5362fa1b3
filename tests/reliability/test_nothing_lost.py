"""Whatever happens to a run, its checkpoints load and it goes on as if nothing had happened."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from vae_cli import build, checkpoint, config
from vae_cli.data import FashionMNIST
from vae_cli.errors import VAEError
from vae_cli.files import sweep
from vae_cli.keeper import Interval, Keeper
from vae_cli.runs import create
from vae_cli.training import EpochReport, Metrics

Times = Callable[[int, int], int]
HERE = Path(__file__).parent
TABLES = {"model": {"hidden": [4], "latent_dim": 2}}


def test_kills_lose_nothing(tmp_path: Path, times: Times) -> None:
    count = times(8, 200)
    script = [sys.executable, str(HERE / "killed.py"), str(tmp_path), "0", str(count)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=3000)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] >= count
    assert found["inside"] >= count // 4
    assert (found["unreadable"], found["different"], found["failed"]) == (0, 0, 0), done.stderr


def keeper(root: Path) -> Keeper:
    """A run that has been saved once, with a new best and a new row to save."""
    settings = config.resolve(("", TABLES))
    state = build.state(settings, (1, 28, 28), torch.device("cpu"))
    run, spec = create(settings, "run", root), FashionMNIST.spec
    made = Keeper(run, settings, spec, (2, 1), state, Interval())
    for loss in (2.0, 1.0):
        metrics = Metrics(loss, loss, 0.0, torch.zeros(2))
        state.end_epoch()
        made.after_epoch(EpochReport(state.epoch, metrics, metrics, 0.0))
        if loss > 1:
            made.save()
    return made


CALLS = ("fdopen", "fsync", "replace", "rename", "chmod", "open", "mkdir")


@contextmanager
def failing(at: int, number: int) -> Iterator[list[str]]:
    """The `at`-th call to the disk fails; the list names the calls that were made."""
    made: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:

            def call(
                *words: object, name: str = name, real: object = getattr(os, name), **more: object
            ) -> object:
                made.append(name)
                if len(made) - 1 == at:
                    if name == "fdopen":  # a short write: some bytes arrive, then no more
                        os.write(words[0], b"{")  # type: ignore[arg-type]
                        os.close(words[0])  # type: ignore[arg-type]
                    raise OSError(number, os.strerror(number))
                return real(*words, **more)  # type: ignore[operator]

            patch.setattr(os, name, call)
        yield made


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_fault_at_any_call_of_a_save_leaves_checkpoints_that_load(
    tmp_path: Path, number: int
) -> None:
    with failing(-1, number) as calls:
        keeper(tmp_path / "count").save()
    assert {"fdopen", "fsync"} <= set(calls)
    for at in range(len(calls)):
        made = keeper(tmp_path / str(at))
        try:
            with failing(at, number):
                made.save()
        except VAEError as error:
            assert "\n" not in str(error)
        epochs = [checkpoint.load(path).facts["epoch"] for path in (made.run.best, made.run.last)]
        assert all(epoch in {1, 2} for epoch in epochs)
        assert len(made.run.metrics_file.read_text().splitlines()) in {2, 3}
        sweep(made.run.path)
        assert not list(made.run.path.glob(".*"))
        made.save()
        assert checkpoint.load(made.run.last).facts["epoch"] == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_disk_that_is_really_full_leaves_checkpoints_that_load(
    tmp_path: Path, times: Times
) -> None:
    refused = 0
    for step in range(times(4, 20)):
        disk = tmp_path / f"disk{step}"
        disk.mkdir()
        size = f"size={200 + 12 * step}k"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=False)
        if mounted.returncode:
            pytest.skip("this machine does not let us mount")
        try:
            made = keeper(disk)
            (disk / "filler").write_bytes(b"x" * (12 * step * 1024 // 2))
            for _ in range(8):
                made.rows.extend([made.rows[0]] * 200)  # a table that grows until it does not fit
                try:
                    made.save()
                except VAEError as error:
                    refused += 1
                    assert "\n" not in str(error)
            for path in (made.run.best, made.run.last):
                checkpoint.load(path)
            assert not list(made.run.path.glob(".*"))
        finally:
            subprocess.run(["umount", disk], check=True)
    assert refused
