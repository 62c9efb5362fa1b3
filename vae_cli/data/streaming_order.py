"""The order in which an epoch visits items in shards: at random, but never far apart in a shard.

A permutation of all items would read every shard a thousand times. Here an epoch permutes the
shards, and shuffles items within a window. It has lanes, each of which walks shards of its own:

    lane 0    shard 7, shard 2, ...        batch 0 = | of lane 0 | of lane 1 | ... | of lane 15 |
    lane 1    shard 5, shard 0, ...        batch 1 = | of lane 0 | of lane 1 | ... | of lane 15 |
    ...

A batch is a row of equal segments, one from each lane. So it mixes as many shards as there are
lanes, and consecutive parts of it, which are what several processes get, come from different
shards: each process reads its own. The batches are the same whatever the number of processes.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vae_cli.noise import derive_seed

MAX_LANES = 16


def count_lanes(shards: int, batch_size: int) -> int:
    """The number of lanes: the largest power of two that is no more than 16, shards or items.

    A number of processes that divides it gets whole lanes; with another one, some shards are read
    by two processes.
    """
    return 1 << (min(MAX_LANES, shards, batch_size).bit_length() - 1)


def streaming_order(
    starts: Tensor, batch_size: int, *, window: int, seed: int, epoch: int
) -> Tensor:
    """The order in which an epoch visits items in shards: int64 `(N,)`, each index once.

    It depends on its arguments only, so a run can be resumed at any point.

    Args:
        starts: int64 `(S + 1,)`, the first item of each shard, and the number of all.
        batch_size: items of a batch; the last one may be smaller.
        window: an item is moved by fewer places than these, in all lanes together.
        seed: of the run.
        epoch: from 0.

    Example:
        >>> order = streaming_order(
        ...     torch.tensor([0, 4, 8, 12, 16]), 8, window=8, seed=0, epoch=0
        ... )
        >>> order.sort().values.equal(torch.arange(16))
        True
        >>> shards = order.view(2, 4, 2) // 4  # 2 batches of 4 segments, each from one lane
        >>> [lane.unique().numel() for lane in shards.unbind(1)]
        [1, 1, 1, 1]
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    count, sizes = int(starts[-1]), starts.diff()
    lanes = count_lanes(int((sizes > 0).sum()), batch_size)
    edges, rest_edges = cut(batch_size, lanes), cut(count % batch_size, lanes)
    batches = count // batch_size
    lengths = (batches * edges.diff() + rest_edges.diff()).tolist()
    order = torch.empty(count, dtype=torch.int64)
    full, rest = order.split([batches * batch_size, count % batch_size])
    dealt = deal_shards(sizes, lengths, generator)
    for lane, items in enumerate(fill_lanes(starts, dealt, lengths)):
        shuffled = items[shuffle_within(len(items), window / lanes, generator)]
        segment = full.view(batches, batch_size)[:, edges[lane] : edges[lane + 1]]
        segment.copy_(shuffled[: segment.numel()].view_as(segment))
        rest[rest_edges[lane] : rest_edges[lane + 1]] = shuffled[segment.numel() :]
    return order


def cut(count: int, parts: int) -> Tensor:
    """Where to cut a row of items into parts that are equal up to one item: int64 `(parts + 1,)`.

    They are the cuts by which processes share a batch: `share_of` in training/world.py.
    """
    return count * torch.arange(parts + 1) // parts


def deal_shards(
    sizes: Tensor, lengths: Sequence[int], generator: torch.Generator
) -> list[list[int]]:
    """Deal permuted shards to lanes, each to the lane that lacks the most items."""
    lacking = list(lengths)
    lanes: list[list[int]] = [[] for _ in lengths]
    items = sizes.tolist()
    for shard in torch.randperm(len(items), generator=generator).tolist():
        lane = lacking.index(max(lacking))
        lanes[lane].append(shard)
        lacking[lane] -= items[shard]
    return lanes


def fill_lanes(
    starts: Tensor, dealt: Sequence[Sequence[int]], lengths: Sequence[int]
) -> Iterator[Tensor]:
    """The items of each lane, in the order of its shards, as many as it must have.

    Shards have no equal numbers of items. What a lane has too many at its end fills up the ends of
    those that have too few, so only there a shard belongs to several lanes.
    """
    first = starts.tolist()
    lanes = [
        torch.cat(
            [torch.arange(first[shard], first[shard + 1]) for shard in shards] or [starts[:0]]
        )
        for shards in dealt
    ]
    surplus = torch.cat([items[length:] for items, length in zip(lanes, lengths, strict=True)])
    for items, length in zip(lanes, lengths, strict=True):
        lacking = max(0, length - len(items))
        yield torch.cat([items[:length], surplus[:lacking]])
        surplus = surplus[lacking:]


def shuffle_within(count: int, window: float, generator: torch.Generator) -> Tensor:
    """A permutation that moves no index by more than a window: int64 `(count,)`.

    Index i gets the key i + window · u with u from U(0, 1), and the keys are sorted. What is a
    window or more apart keeps its order.
    """
    keys = torch.rand(count, generator=generator, dtype=torch.float64).mul_(window)
    return keys.add_(torch.arange(count)).argsort(stable=True)
