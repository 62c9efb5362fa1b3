"""A part of a data set that is read from shards while a training goes on: `Streamed`.

Threads read and decode a few batches ahead of the device, and others fetch a few shards ahead of
them. What is in memory at a time is these batches, however large the data set is, and an index of a
few numbers for each item.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, final

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.batches import to_unit_interval
from vae_cli.data.shards import Shards
from vae_cli.data.split import InMemory
from vae_cli.data.streaming_order import MAX_LANES, streaming_order
from vae_cli.errors import VAEError

MAX_READERS = 16  # threads that read and decode
FETCHERS = 4  # threads that make shards ready
SPARE_BATCHES = 2  # that are ready, besides those that the threads read
SHARDS_AHEAD = MAX_LANES  # that are made ready before they are needed
CHUNK_ROWS = 2**20  # of which the shards are found together
NO_LABELS = torch.empty(0, dtype=torch.int64)


@final
@dataclass(frozen=True, kw_only=True)
class Streamed:
    """Some items of a data set in shards.

    Attributes:
        shards: where the items are.
        rows: int64 `(N,)`, the numbers of the items that belong to this part, ascending.
        window: of the shuffle of an epoch, in items.
        labels: int64 `(N,)`, indices into the data set's classes; `(0,)` if unknown.
        condition: what a model of the items is conditioned on, as in `InMemory`; None if there is
            nothing.
        encode: makes items `(B, C, H, W)` what a network takes.
        draw: as that of `InMemory`.
        readers: as those of `read_ahead`.
    """

    shards: Shards
    rows: Tensor
    window: int
    labels: Tensor = NO_LABELS
    condition: Tensor | None = None
    encode: Callable[[Tensor], Tensor] = to_unit_interval
    draw: Callable[[Tensor, Tensor], Tensor] | None = None
    readers: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, H, W)` of an image."""
        return self.shards.shape

    @property
    def hashes(self) -> None:
        """Not known: which items are equal is seen only by reading all of them."""
        return

    @classmethod
    def whole(cls, shards: Shards, window: int) -> "Streamed":
        """All items of the shards."""
        rows = torch.arange(int(shards.starts[-1]))
        return cls(shards=shards, rows=rows, window=window, labels=shards.labels)

    def head(self, count: int | None) -> "Streamed":
        """The first `count` items, which are in the first shards; None means all."""
        return self if count is None else self.take(torch.arange(len(self))[:count])

    def take(self, places: Tensor) -> "Streamed":
        """The items at these places of the part, int64 `(M,)`, in the order of the shards."""
        places = places.sort().values
        return replace(
            self,
            rows=self.rows[places],
            labels=self.labels[places] if len(self.labels) else self.labels,
            condition=None if self.condition is None else self.condition[places],
        )

    def order(self, *, seed: int, epoch: int, batch_size: int) -> Tensor:
        """The order in which an epoch visits the items, so that each shard is read but once."""
        starts = torch.searchsorted(self.rows, self.shards.starts)
        size = min(batch_size, len(self))
        return streaming_order(starts, size, window=self.window, seed=seed, epoch=epoch)

    def sample(self, count: int, seed: int) -> Tensor:
        """The places of at most so many items, from a few shards that are drawn at random."""
        return self.order(seed=seed, epoch=0, batch_size=max(1, count))[:count]

    def ready(self) -> "Streamed":
        """The same: what is drawn or encoded is so in every epoch, because it has no place."""
        return self

    def batches(self, order: Tensor, size: int, device: torch.device) -> Iterator[Batch]:
        """The items at some places, batch by batch, read ahead in threads.

        Raises:
            VAEError: a shard cannot be read; the message names it.
        """
        order = order.cpu()
        rows = self.rows[order]
        with closing(read_ahead(self.shards, rows, size, self.readers)) as batches:
            for index, items in enumerate(batches):
                own = slice(index * size, (index + 1) * size)
                x = self.encode(items.to(device))
                y = None if self.condition is None else self.condition[order[own]].to(device)
                yield Batch(x if self.draw is None else self.draw(x, rows[own]), y)


AnySplit = InMemory | Streamed
SplitT = TypeVar("SplitT", InMemory, Streamed, InMemory | Streamed)


def move_splits(train: AnySplit, test: InMemory, device: torch.device) -> tuple[AnySplit, InMemory]:
    """Move both parts to a device; items that the two parts share are moved once.

    Those of a streamed part are moved batch by batch.
    """
    if isinstance(train, Streamed):
        return train, test.move_to(device)
    moved = train.move_to(device)
    if test.items is not train.items:
        return moved, test.move_to(device)
    condition = None if test.condition is None else test.condition.to(device)
    rows, labels, hashes = test.rows.to(device), test.labels, test.hashes
    return moved, replace(moved, rows=rows, labels=labels, condition=condition, hashes=hashes)


def read_ahead(
    shards: Shards, rows: Tensor, size: int, readers: int = 0
) -> Generator[Tensor, None, None]:
    """Items in batches, as they are in the shards, read in threads some batches ahead.

    The threads end with the generator, also if it is closed before its end.

    Args:
        shards: where the items are.
        rows: int64 `(M,)`, the numbers of the items.
        size: of each batch; the last one may be smaller.
        readers: the number of threads that read and decode; 0 means as many as torch computes with.

    Raises:
        VAEError: a shard cannot be read; the message names it.
    """
    fetcher = ShardFetcher(shards, rows, size)
    readers = readers or min(MAX_READERS, torch.get_num_threads())
    with closing(run_ahead(fetcher.tasks(), readers)) as results, closing(fetcher):
        for index, items in enumerate(results):
            yield items
            fetcher.release(index)


def run_ahead(tasks: Iterable[Callable[[], Tensor]], threads: int) -> Generator[Tensor, None, None]:
    """The results of tasks in their order, each computed in one of some threads.

    At most `threads + SPARE_BATCHES` tasks are begun before their results are asked for.
    """
    pool = ThreadPoolExecutor(threads, "vae-read")
    running: deque[Future[Tensor]] = deque()
    try:
        for task in tasks:
            running.append(pool.submit(task))
            if len(running) == threads + SPARE_BATCHES:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@final
class ShardFetcher:
    """Reads the items of batches, whose shards are made ready before, and let go afterwards.

    Shards are made ready in the order in which the batches need them: those of a batch when it is
    read, and a few that later batches need.

    Args:
        shards: where the items are.
        rows: int64 `(M,)`, the numbers of the items of all batches.
        size: of each batch; the last one may be smaller.
    """

    def __init__(self, shards: Shards, rows: Tensor, size: int) -> None:
        self.shards, self.rows, self.size = shards, rows, size
        first, last = find_uses(shards.starts, rows, size)
        used = (last >= 0).nonzero()[:, 0]
        self.first, self.last = first.tolist(), last.tolist()
        self.coming = deque(used[first[used].argsort(stable=True)].tolist())
        self.leaving = deque(used[last[used].argsort(stable=True)].tolist())
        self.pool = ThreadPoolExecutor(FETCHERS, "vae-fetch")
        self.prepared: dict[int, Future[None]] = {}

    def tasks(self) -> Iterator[Callable[[], Tensor]]:
        """For each batch, what reads it; its shards are being made ready when it is returned."""
        for index, rows in enumerate(self.rows.split(self.size) if len(self.rows) else ()):
            self.prepare_for(index)
            yield partial(self.read, rows)

    def prepare_for(self, index: int) -> None:
        """Begin to make ready the shards that a batch needs, and a few that later ones need."""
        ahead = sum(self.first[shard] > index for shard in self.prepared)
        while self.coming:
            is_ahead = self.first[self.coming[0]] > index
            if is_ahead and ahead == SHARDS_AHEAD:
                return
            shard, ahead = self.coming.popleft(), ahead + is_ahead
            self.prepared[shard] = self.pool.submit(self.shards.prepare, shard)

    def read(self, rows: Tensor) -> Tensor:
        """The items with these numbers, as they are in the shards.

        Raises:
            VAEError: one of the shards cannot be read.
        """
        items = torch.empty(len(rows), *self.shards.shape, dtype=self.shards.dtype)
        owners = find_shards(self.shards.starts, rows)
        for shard in owners.unique().tolist():
            is_here = owners == shard
            found = self.read_shard(shard, rows[is_here] - self.shards.starts[shard])
            items.numpy()[is_here.numpy()] = found.numpy()  # torch would start threads for this one
        return items

    def read_shard(self, shard: int, places: Tensor) -> Tensor:
        """The items at these places of a shard, when it is ready.

        Raises:
            VAEError: it cannot be read.
        """
        try:
            self.prepared[shard].result()
            return self.shards.read(shard, places)
        except (OSError, ValueError) as error:
            raise VAEError(f"{self.shards.names[shard]} cannot be read: {error}") from error

    def release(self, index: int) -> None:
        """Let go the shards that are not needed after a batch, which has been read."""
        while self.leaving and self.last[self.leaving[0]] <= index:
            shard = self.leaving.popleft()
            del self.prepared[shard]
            self.shards.release(shard)

    def close(self) -> None:
        """Let go all shards, and end the threads."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self._release_all()  # what is under way gives up
        self.pool.shutdown()
        self._release_all()  # what has become ready all the same

    def _release_all(self) -> None:
        for shard in self.prepared:
            self.shards.release(shard)


def find_shards(starts: Tensor, rows: Tensor) -> Tensor:
    """The shard of each item, int64 `(M,)`."""
    return torch.searchsorted(starts, rows, right=True) - 1


def find_uses(starts: Tensor, rows: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The first and the last batch that needs each shard: int64 `(S,)` each, −1 if none does."""
    first, last = (torch.full((len(starts) - 1,), value) for value in (len(rows), -1))
    for index, some in enumerate(rows.split(CHUNK_ROWS)):
        shards = find_shards(starts, some)
        batches = (index * CHUNK_ROWS + torch.arange(len(some))) // size
        first.scatter_reduce_(0, shards, batches, "amin")
        last.scatter_reduce_(0, shards, batches, "amax")
    return first.where(last >= 0, -1), last
