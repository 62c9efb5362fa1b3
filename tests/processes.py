"""A training that several processes can do together: `python processes.py RANK SIZE FOLDER`."""

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
from models import make_state, mlp_vae
from torch import Generator, Tensor

from vae_cli.data.split import InMemory
from vae_cli.training import ALONE, EpochReport, Processes, TrainState, World, constant, fit

SHAPE = (1, 6, 5)
ITEMS, BATCH, EPOCHS = 61, 15, 3  # parts of 7 and 8 items; the last batch is one item


def images(count: int, seed: int) -> InMemory:
    generator = Generator().manual_seed(seed)
    return InMemory.whole(torch.rand(count, *SHAPE, generator=generator))


def train(world: World = ALONE, rate: float = 1e-2) -> tuple[TrainState, list[EpochReport]]:
    """Train a small model, and return its state and the metrics of each epoch."""
    state, reports = make_state(mlp_vae(SHAPE)), list[EpochReport]()
    fit(
        state,
        images(ITEMS, 0),
        images(23, 1),
        epochs=EPOCHS,
        batch_size=BATCH,
        seed=0,
        learning_rate=constant(rate, 1),
        report=reports.append,
        world=world,
    )
    return state, reports


def summarize(state: TrainState, reports: list[EpochReport]) -> dict[str, Tensor]:
    """All tensors of the state, and all metrics."""
    metrics = {
        f"{report.epoch} {part}": torch.tensor([found.loss, *found.terms.values()])
        for report in reports
        for part, found in (("train", report.train), ("test", report.test))
    }
    return {**state.tensors(), **metrics}


def main(rank: int, size: int, folder: Path) -> None:
    """Train as one of several processes on this machine, and leave a summary in a folder."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'store'}",
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=60),
    )
    torch.save(summarize(*train(Processes())), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
