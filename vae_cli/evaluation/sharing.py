"""How several processes evaluate a model together (training/world.py).

Each item belongs to one process, never to two: a mean over items that are counted twice, as
`DistributedSampler` pads its parts, is not that of the data. What is computed for each item is
gathered in the order of the items, so that all that follows is the same for any number of
processes. There are three kinds of work:

    rows     what each item needs by itself, such as its likelihood: consecutive items for each
             process, gathered at process 0
    latents  small rows of all items that each process needs, such as the means of the posteriors:
             the same, gathered at all
    tasks    what is computed from all items together, many times, such as a figure of random halves
             of them: some times by each process
    the rest what is computed from all items together once, such as a fit: process 0 alone, while
             the others wait for what it finds (`compute_once`)

Items that are computed in chunks are divided between chunks. So an item is computed among the same
others as in one process, and the numbers are equal to the last bit, if each process has as many
threads as one process had.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.batches import chunk_length
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.split import InMemory
from vae_cli.training.world import ALONE, LONE_SECONDS, Share, World, share_of, shared_batches

T = TypeVar("T")


def shared_chunks(
    split: InMemory, device: torch.device, world: World = ALONE, size: int | None = None
) -> Iterator[tuple[Batch, Share]]:
    """Every item of a part once, in order: this process's chunk of each round.

    Args:
        split: the items.
        device: where they are needed.
        world: the processes, of which each gets one chunk in a round.
        size: of a chunk; None is as many as fit into a few megabytes.
    """
    unit, order = size or chunk_length(split.shape), torch.arange(len(split))
    return shared_batches(split, order, unit * world.size, device, world=world, unit=unit)


def collect_rows(
    split: InMemory,
    compute: Callable[[Batch], Tensor],
    device: torch.device,
    world: World = ALONE,
    progress: Progress = ignore_progress,
) -> Tensor:
    """What is computed for each item, in order: `(N, ...)` at process 0, no rows at the others.

    Args:
        split: the items.
        compute: makes rows `(B, ...)` on the CPU of a batch.
        device: where the batches are needed.
        world: the processes that share the items.
        progress: called with the number of items that all processes have done, and of all.
    """
    found, done = [], 0
    for batch, share in shared_chunks(split, device, world):
        found.append(share.collect(compute(batch)))
        done += share.items
        progress(done, len(split))
    return torch.cat(found)


def share_rows(
    compute: Callable[[Tensor], Tensor], rows: Tensor, world: World = ALONE, unit: int = 1
) -> Tensor:
    """What is computed for each row, `(N, ...)` at all processes.

    Args:
        compute: makes of some rows as many.
        rows: `(N, ...)`, the same at all processes.
        world: the processes that share them.
        unit: how many rows are computed at a time, which are not divided.
    """
    share = share_of(len(rows), world, unit=unit)
    return share.whole(compute(share.take(rows, 0)))


def compute_once(compute: Callable[[], Any], world: World) -> Any:
    """What process 0 computes, as JSON returns it, while the others wait; all of them have it."""
    found = json.dumps(compute() if world.rank == 0 else None)
    wait_for_first(world)
    return json.loads(world.share(found))


def wait_for_first(world: World) -> None:
    """Wait until all processes are here; process 0 may have worked alone for hours."""
    world.wait(LONE_SECONDS)


def first_in_turn(make: Callable[[], T], world: World) -> T:
    """What each process makes, the others after process 0: what it has downloaded is there then."""
    made = make() if world.rank == 0 else None
    wait_for_first(world)
    return make() if made is None else made
