"""Several processes that train one model."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import (
    DIVIDED,
    FEW,
    Case,
    cases_of,
    evaluate_with_little_memory,
    meet_a_loss_that_is_not_finite,
    summarize,
)
from torch import Tensor

from vae_cli.data.split import InMemory
from vae_cli.errors import LostProcessError
from vae_cli.processes import Place, first_place
from vae_cli.training import world
from vae_cli.training.world import START_SECONDS, Alone, join, share_of, shared_batches

SCRIPT = Path(__file__).parents[1] / "processes.py"
BOUND = 1e-4  # of the difference of a metric, relative and in nats: docs/distributed.md says why
Found = dict[object, dict[str, Tensor]]


def run_processes(size: int, folder: Path, names: str, seconds: int = 240) -> list[Found]:
    """What each of several processes has found in `main` of processes.py."""
    words = [[sys.executable, SCRIPT, str(rank), str(size), folder, names] for rank in range(size)]
    path = {"PYTHONPATH": str(SCRIPT.parent)}  # a command in this process may have set a safe path
    processes = [subprocess.Popen(some, env=os.environ | path) for some in words]
    try:
        assert [process.wait(seconds) for process in processes] == [0] * size
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt") for rank in range(size)]


def require_one_training(found: list[Found], cases: list[Case]) -> None:
    """Check several processes against one, which does the same here."""
    first, *others = found
    for key, tensors in first.items():
        for other in others:
            for name, tensor in tensors.items():
                assert other[key][name].equal(tensor), (key, name)
    expected: Found = {case: summarize(case) for case in cases}
    expected["in pieces"] = summarize(DIVIDED)
    expected["little memory"] = evaluate_with_little_memory()
    for key, tensors in expected.items():
        assert_close(first[key]["losses"], tensors["losses"], key)
        if key != "little memory":
            assert first[key]["generator"].equal(tensors["generator"]), "the noise is the same"
    for name, tensor in first["again"].items():
        assert tensor.equal(first[cases[0]][name]), name


def assert_close(losses: Tensor, expected: Tensor, key: object) -> None:
    torch.testing.assert_close(
        losses, expected, rtol=BOUND, atol=BOUND, msg=lambda text: f"{key}: {text}"
    )


def require_a_stop_together(found: list[Found]) -> None:
    """Check that nobody has used a gradient that was not finite in one process."""
    expected = meet_a_loss_that_is_not_finite()
    for one in found:
        assert one["not finite"]["step"] == expected["step"] == 2
        for name, tensor in expected.items():
            if name.startswith(("model.", "players.")):
                torch.testing.assert_close(one["not finite"][name], tensor, rtol=1e-4, atol=1e-6)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Over loopback, with batches that do not divide and a last one that is for one process."""
    found = run_processes(2, tmp_path, "few")
    require_one_training(found, FEW)
    require_a_stop_together(found)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_every_model_as_one(tmp_path: Path) -> None:
    found = run_processes(2, tmp_path, "all", seconds=600)
    require_one_training(found, cases_of("all"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_processes_train_by_every_objective_as_one(tmp_path: Path) -> None:
    found = run_processes(4, tmp_path, "objective", seconds=600)
    assert [bool(one.pop("late")["missed"]) for one in found] == [True] * 4
    require_one_training(found, cases_of("objective"))


class Fixed(Alone):  # type: ignore[misc]
    """One of several processes, which exchanges nothing."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize(("items", "batch"), [(10, 4), (9, 3), (5, 5), (6, 1)])
def test_each_item_counts_once_in_the_processes_together(size: int, items: int, batch: int) -> None:
    split, order = InMemory.whole(torch.arange(float(items))[:, None]), torch.randperm(items)
    device, seen = torch.device("cpu"), []
    shares = [share_of(batch, Fixed(rank, size)) for rank in range(size)]
    assert sum(share.weight for share in shares) == pytest.approx(1)
    each = [
        list(shared_batches(split, order, batch, device, world=Fixed(rank, size)))
        for rank in range(size)
    ]
    for together in zip(*each, strict=True):
        assert sum(share.weight for _, share in together) == pytest.approx(1)
        seen += [x for part, share in together if share.weight for x in part.x[:, 0].tolist()]
    assert seen == order.tolist()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_start_that_cannot_meet_its_peers_ends_in_time_and_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = replace(first_place(2), rank=rank, port=port)
    message = (
        f"process {rank} of 2 has not met the others at 127.0.0.1, port {port}, in 1 seconds: "
        "check that all 2 were started"
    )
    asked: list[timedelta] = []  # of whatever waits

    def noting(wait: Callable[..., Any]) -> Callable[..., Any]:
        def noted(place: Place, *words: Any, **more: Any) -> Any:
            asked.extend(word for word in words if isinstance(word, timedelta))
            return wait(place, *words, **more)

        return noted

    for name in ("open_store", "meet"):
        monkeypatch.setattr(world, name, noting(getattr(world, name)))
    start = time.monotonic()
    with pytest.raises(LostProcessError, match=message), join(place, {}, seconds=1):
        pytest.fail("there is no other process")
    assert set(asked) == {timedelta(seconds=1)}
    assert time.monotonic() - start < START_SECONDS, "nothing waited as long as without a limit"


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = replace(first_place(2), port=taken.getsockname()[1])
        with (
            pytest.raises(LostProcessError, match=f"port {place.port}, .* is taken"),
            join(place, {}, seconds=1),
        ):
            pytest.fail("another process listens there")
