"""How many images a second a training has from shards, and from the same images in memory.

    python tests/benchmarks/streaming.py --turns 5

Every epoch of a streamed set decodes its pictures again. The table has processor time, which says
what that costs, and the part of the time in which the training waits for a batch: if decoding in
the threads is faster than the steps, and there are cores for both, there is none. docs/data.md has
the results.
"""

import argparse
import io
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from shard_files import opened, write_tar

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import Spec
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.data.split import InMemory
from vae_cli.data.streamed import AnySplit, Streamed
from vae_cli.settings import choose, merge
from vae_cli.training.epochs import TracedEpoch

CPU, BATCH, ITEMS, SHARDS = torch.device("cpu"), 128, 2048, 16
CASES = {  # the side of the files, their format and that of the items, and the network
    "mlp, PNG of 28x28": (28, "PNG", 28, {"network": "mlp"}),
    "conv small, JPEG of 256x256 as 64x64": (
        256,
        "JPEG",
        64,
        {"network": "conv", "preset": "small"},
    ),
}


class Waiting:
    """A part whose user is told how long it waited for batches."""

    def __init__(self, split: AnySplit) -> None:
        self.split, self.shape, self.seconds = split, split.shape, 0.0

    def __len__(self) -> int:
        return len(self.split)

    def batches(self, order: torch.Tensor, size: int, device: torch.device) -> Iterator[Batch]:
        found = self.split.batches(order, size, device)
        while True:
            start = time.perf_counter()
            batch = next(found, None)
            self.seconds += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def write_shards(folder: Path, side: int, suffix: str) -> str:
    """Clothes, in files of this size and format."""
    items = FashionMNIST().train().items[:ITEMS, 0]
    for shard, some in enumerate(items.chunk(SHARDS)):
        files = {}
        for number, item in enumerate(some):
            picture, file = Image.fromarray(item.numpy()).resize((side, side)), io.BytesIO()
            (picture.convert("RGB") if suffix == "JPEG" else picture).save(file, suffix)
            files[f"{shard:02}{number:05}.{suffix.lower()}"] = file.getvalue()
        write_tar(folder / f"clothes-{shard:02}.tar", files)
    return str(folder / f"clothes-{{00..{SHARDS - 1}}}.tar")


def measure(split: AnySplit, spec: Spec, network: dict[str, str], seed: int) -> list[float]:
    """Images a second, processor seconds of 1,000 images, and the share of time that is waiting."""
    state = choose(merge(("", {"model": network})), spec).build_state(spec, CPU)
    waiting = Waiting(split)
    epoch = TracedEpoch(state, waiting, BATCH)
    order = split.order(seed=seed, epoch=0, batch_size=BATCH)
    rates = torch.full((epoch.steps,), 1e-4)
    waiting.seconds, start, before = 0.0, time.perf_counter(), processor_seconds()
    epoch.run(order, rates, torch.ones_like(rates))
    seconds, used = time.perf_counter() - start, processor_seconds() - before
    return [len(split) / seconds, 1000 * used / len(split), waiting.seconds / seconds]


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run_case(name: str, turns: int, table: Table) -> None:
    side, suffix, item, network = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        found = opened(write_shards(Path(folder), side, suffix), image_size=item)
        streamed = Streamed.whole(found.shards, 16_384)
        whole = torch.cat([batch.x for batch in streamed.batches(torch.arange(ITEMS), 1024, CPU)])
        parts = {
            "memory": InMemory.whole((255 * whole).round().byte()),
            "shards, 1 thread": replace(streamed, readers=1),
            "shards, 2 threads": replace(streamed, readers=2),
        }
        figures = {part: [] for part in parts}
        for turn in range(turns):
            for part, split in parts.items():
                figures[part].append(measure(split, found.spec, network, turn))
    for part, rows in figures.items():
        rate, used, waits = map(statistics.median, zip(*rows, strict=True))
        table.add_row(name, part, f"{rate:,.0f}", f"{used:.3f}", f"{waits:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="that compute")
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    table = Table("training", "from", "images/s", "processor s per 1,000", "waits")
    for name in CASES:
        run_case(name, words.turns, table)
    Console().print(table)


if __name__ == "__main__":
    main()
