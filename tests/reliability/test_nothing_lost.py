"""After kills and disk errors, the checkpoints of a run load, and the run can be resumed."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch

from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.errors import VAEError
from vae_cli.files import remove_leftovers
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import create_run
from vae_cli.runs.facts import Facts
from vae_cli.runs.recorder import RunRecorder
from vae_cli.settings import SaveInterval, choose, merge
from vae_cli.training import EpochReport, Metrics

Times = Callable[[int, int], int]
KILLED = Path(__file__).parent / "killed.py"


@pytest.mark.slow
def test_kills_lose_nothing_and_leave_no_trace_in_the_result(tmp_path: Path, times: Times) -> None:
    count = times(8, 200)
    script = [sys.executable, str(KILLED), str(tmp_path), "0", str(count)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=3000)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] >= count
    assert found["during_a_save"] >= count // 4
    assert (found["unreadable"], found["different"], found["failed"]) == (0, 0, 0), done.stderr


def unsaved_recorder(root: Path) -> RunRecorder:
    """The recorder of a run that was saved once, and has a new best state and row to save."""
    spec = FashionMNIST.spec
    settings = merge(("", {"model": {"network": "mlp", "hidden": [4], "latent_dim": 2}}))
    config = choose(settings, spec)
    state = config.build_state(spec, torch.device("cpu"))
    recorder = RunRecorder(
        run=create_run(config, "run", root),
        facts=Facts(config=config, data=spec, counts=(2, 1), data_digest="0" * 64, epoch=0),
        held_out_name="test",
        state=state,
        interval=SaveInterval(),
        locks=ExitStack(),
    )
    for loss in (2.0, 1.0):
        metrics = Metrics(loss, {"kl": 0.0, "mse": loss}, -loss, torch.zeros(2))
        state.end_epoch()
        recorder.record_epoch(EpochReport(state.epoch, metrics, metrics, 0.0))  # saves the first
    return recorder


CALLS = ("fsync", "replace", "rename", "chmod", "open", "mkdir")


@contextmanager
def failing(at: int, number: int) -> Iterator[list[str]]:
    """Make the `at`-th call that changes the disk fail; yields the names of all such calls."""
    calls: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:

            def call(
                *words: object, name: str = name, real: object = getattr(os, name), **more: object
            ) -> object:
                calls.append(name)
                if len(calls) - 1 == at:
                    if name == "open" and words[1] & os.O_EXCL:  # type: ignore[operator]
                        handle = real(*words, **more)  # type: ignore[operator]
                        os.write(handle, b"{")  # a write that stops after the first byte
                        os.close(handle)
                    raise OSError(number, os.strerror(number))
                return real(*words, **more)  # type: ignore[operator]

            patch.setattr(os, name, call)
        yield calls


@pytest.mark.parametrize(
    "number",
    [
        errno.ENOSPC,
        pytest.param(errno.EIO, marks=pytest.mark.slow),
        pytest.param(errno.EDQUOT, marks=pytest.mark.slow),
    ],
)
def test_an_error_in_any_call_of_a_save_leaves_checkpoints_that_load(
    tmp_path: Path, number: int
) -> None:
    recorder = unsaved_recorder(tmp_path / "count")
    with failing(-1, number) as calls:
        recorder.save()
    assert {"open", "fsync", "replace"} <= set(calls)
    for at in range(len(calls)):
        recorder = unsaved_recorder(tmp_path / str(at))
        try:
            with failing(at, number):
                recorder.save()
        except VAEError as error:
            assert "\n" not in str(error)
        run = recorder.run
        for path in (run.best, run.last):
            assert load_checkpoint(path).facts["epoch"] in {1, 2}
        assert len(run.metrics_file.read_text().splitlines()) in {2, 3}
        remove_leftovers(run.path)
        assert not list(run.path.glob(".*"))
        recorder.save()
        assert load_checkpoint(run.last).facts["epoch"] == 2


@pytest.mark.slow
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
            pytest.skip("mounting is not allowed on this machine")
        try:
            recorder = unsaved_recorder(disk)
            (disk / "filler").write_bytes(b"x" * (12 * step * 1024 // 2))
            for _ in range(8):
                rows = recorder.history.rows
                rows.extend([rows[0]] * 200)  # until the metrics do not fit
                try:
                    recorder.save()
                except VAEError as error:
                    refused += 1
                    assert "\n" not in str(error)
            for path in (recorder.run.best, recorder.run.last):
                load_checkpoint(path)
            assert not list(recorder.run.path.glob(".*"))
        finally:
            subprocess.run(["umount", disk], check=True)
    assert refused
