"""Several processes that train one model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import summarize, train

from vae_cli.data.split import InMemory
from vae_cli.training import ALONE
from vae_cli.training.world import Alone, share_of, shared_batches

SCRIPT = Path(__file__).parents[1] / "processes.py"


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Over loopback, with batches that do not divide and a last one that is for one process."""
    words = [[sys.executable, SCRIPT, str(rank), "2", tmp_path] for rank in range(2)]
    path = {"PYTHONPATH": str(SCRIPT.parent)}  # a command in this process may have set a safe path
    processes = [subprocess.Popen(some, env=os.environ | path) for some in words]
    expected = summarize(*train(ALONE))
    assert [process.wait(120) for process in processes] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert first.keys() == second.keys() == expected.keys()
    for name, tensor in expected.items():
        assert first[name].equal(second[name]), name
        torch.testing.assert_close(first[name], tensor, rtol=1e-4, atol=1e-6)
    assert first["generator"].equal(expected["generator"]), "the noise is exactly the same"


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
