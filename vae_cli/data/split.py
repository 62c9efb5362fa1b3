"""One part of a data set: its items in batches, wherever they come from.

`Split` is what a training needs of a part. `InMemory` is the part whose items lie in one tensor:
each batch is gathered by its indices, without worker processes and without Python code per item.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Protocol, final

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.batches import batches_per_chunk, chunk_length, permutation, to_unit_interval
from vae_cli.data.memory import MappedFile

MAX_ENCODED = 2**28  # bytes of a part of a table that is encoded once
ENCODED_ROWS = 4096  # at a time


class Split(Protocol):
    """Some items of a data set, which can be visited in any order."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, H, W)` of an image, or `(D,)` of a row."""

    def __len__(self) -> int: ...

    def order(self, *, seed: int, epoch: int, batch_size: int) -> Tensor:
        """The order in which an epoch visits the items: int64 `(N,)`, each place once.

        It depends on its arguments only, so a run can be resumed at any point.

        Args:
            seed: of the run.
            epoch: from 0.
            batch_size: items of the batches into which the order is divided.
        """

    def sample(self, count: int, seed: int) -> Tensor:
        """The places of at most so many items at random, int64, which are quick to read."""

    def batches(self, order: Tensor, size: int, device: torch.device) -> Iterator[Batch]:
        """The items at some places, batch by batch.

        An epoch that was interrupted goes on with the places that are left: the batches are the
        same, bit for bit.

        Args:
            order: int64 `(M,)`, places of the part from 0 to its length − 1.
            size: of each batch; the last one may be smaller.
            device: where the batches are needed.
        """


@final
@dataclass(frozen=True)
class InMemory:
    """Some rows of a tensor, which may be a memory-mapped file.

    Example:
        >>> split = InMemory.whole(torch.arange(10.0)[:, None])
        >>> batches = split.batches(torch.tensor([9, 8, 7, 6, 5]), 2, torch.device("cpu"))
        >>> [batch.x.flatten().tolist() for batch in batches]
        [[9.0, 8.0], [7.0, 6.0], [5.0]]

    Attributes:
        items: uint8 `(M, C, H, W)`, floats `(M, C, H, W)` in [0, 1], or floats `(M, D)`.
        rows: int64 `(N,)`, the indices of the items that belong to this part, in its order.
        labels: int64 `(N,)`, indices into the data set's classes; `(0,)` if unknown.
        condition: what a model of the items is conditioned on: one row of facts for each, float64
            `(N, C)`, or what the networks are told of it, float32 `(N, W)`; None if there is
            nothing.
        encode: makes items `(B, ...)` what a network takes: `encode` of the run's codec, or else
            that of images.
        draw: draws from encoded items `(B, ...)`, for their `rows`, what a network takes instead of
            them, the same at every look; None if nothing is drawn.
        hashes: float64 `(N,)` in [0, 1), the same for equal items; None if they are not known.
        file: that the items are memory-mapped from and that others may change; None if there is
            none.
    """

    items: Tensor
    rows: Tensor
    labels: Tensor
    _: KW_ONLY
    condition: Tensor | None = None
    encode: Callable[[Tensor], Tensor] = to_unit_interval
    draw: Callable[[Tensor, Tensor], Tensor] | None = None
    hashes: Tensor | None = None
    file: MappedFile | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, H, W)` of an image, or `(D,)` of a row."""
        return tuple(self.items.shape[1:])

    @classmethod
    def whole(cls, items: Tensor, labels: Tensor | None = None) -> "InMemory":
        """All items in their order."""
        rows = torch.arange(len(items), device=items.device)
        return cls(items, rows, torch.empty(0, dtype=torch.int64) if labels is None else labels)

    def head(self, count: int | None) -> "InMemory":
        """The first `count` items; None means all."""
        return self.take(torch.arange(len(self), device=self.rows.device)[:count])

    def take(self, order: Tensor) -> "InMemory":
        """The items at these places of the part, int64 `(M,)`, in their order."""
        labels, condition, hashes = (
            None if values is None else values[order.to(values.device)]
            for values in (self.labels if len(self.labels) else None, self.condition, self.hashes)
        )
        return replace(
            self,
            rows=self.rows[order],
            labels=self.labels if labels is None else labels,
            condition=condition,
            hashes=hashes,
        )

    def order(self, *, seed: int, epoch: int, batch_size: int) -> Tensor:  # noqa: ARG002
        """A random permutation of all places, drawn on the device of the items."""
        return permutation(len(self), seed=seed, epoch=epoch, device=self.rows.device)

    def sample(self, count: int, seed: int) -> Tensor:
        """The places of at most so many items, of which all have the same chance."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(len(self), generator=generator)[:count]

    def gather(self, rows: Tensor) -> Tensor:
        """The items at `rows`, int64 indices into `items`, as they are.

        Raises:
            ChangedDataError: somebody has changed the file that they are memory-mapped from.
        """
        if self.file is not None:
            self.file.require_unchanged()
        return self.items.index_select(0, rows)

    def network_input(self, rows: Tensor) -> Tensor:
        """What a network takes for the items at `rows`, int64 indices into `items`: float32."""
        x = self.encode(self.gather(rows))
        return x if self.draw is None else self.draw(x, rows)

    def items_at(self, places: Tensor | Sequence[int] | slice) -> Tensor:
        """The items at some places of the part, as a trained model takes and returns them.

        Rows of a table keep their units and their type of number: in float32, a large mean would
        hide their differences.

        Returns:
            Images in float32 with pixels in [0, 1], black and white if they are drawn so, or rows.
        """
        rows = self.rows[places]
        return self.gather(rows) if len(self.shape) == 1 else self.network_input(rows)

    def drawn(self) -> "InMemory":
        """The same with images that are drawn once, as bytes in memory; its rows are renumbered."""
        if self.draw is None:
            return self
        items = torch.empty(len(self), *self.shape, dtype=torch.uint8)
        for places in self.rows.argsort().split(chunk_length(self.shape)):  # neighbours share draws
            items[places] = (255 * self.network_input(self.rows[places])).byte()
        return replace(self, items=items, rows=torch.arange(len(self)), draw=None, file=None)

    def encoded(self) -> "InMemory":
        """The same with rows of a table that are encoded once; its rows are renumbered.

        Rows that would take too much memory stay as they are, and are encoded in every epoch.
        """
        width = self.encode(self.gather(self.rows[:1])).shape[1]
        if 4 * width * len(self) > MAX_ENCODED:
            return self
        items = torch.empty(len(self), width)
        for places in torch.arange(len(self)).split(ENCODED_ROWS):
            items[places] = self.network_input(self.rows[places])
        return replace(self, items=items, rows=torch.arange(len(self)), encode=to_unit_interval)

    def ready(self) -> "InMemory":
        """The same for a training: drawn, if it is drawn once, and encoded, if it is a table."""
        return self.encoded() if len(self.shape) == 1 else self.drawn()

    def chunks(self, rows: Tensor, batch_size: int) -> Iterator[Tensor]:
        """What a network takes for the items at `rows`, in chunks of a whole number of batches."""
        size = batches_per_chunk(self.shape, batch_size) * batch_size
        for some in rows.split(size) if len(rows) else ():
            yield self.network_input(some)

    def batches(self, order: Tensor, size: int, device: torch.device) -> Iterator[Batch]:
        """The items at some places, batch by batch; several are gathered and encoded together."""
        order, done = order.to(self.rows.device), 0
        for chunk in self.chunks(self.rows[order], size):
            y, end = None, done + len(chunk)
            if self.condition is not None:
                y = self.condition[order[done:end]].to(device).split(size)
            for index, x in enumerate(chunk.to(device).split(size)):
                yield Batch(x, None if y is None else y[index])
            done = end

    def move_to(self, device: torch.device) -> "InMemory":
        """The same on another device; floats arrive there encoded, because they may be float64.

        Bytes stay bytes, which take a quarter of the memory, and are encoded there.
        """
        items, encode = self.items, self.encode
        if device != items.device and items.is_floating_point():
            items, encode = encode(items), to_unit_interval  # which keeps float32 as it is
        return replace(
            self,
            items=items.to(device),
            rows=self.rows.to(device),
            condition=None if self.condition is None else self.condition.to(device),
            encode=encode,
            file=self.file if device == self.items.device else None,
        )


def in_order(split: Split, device: torch.device) -> Iterator[Batch]:
    """Every item of a part once, as many at a time as fit into a few megabytes."""
    return split.batches(torch.arange(len(split)), chunk_length(split.shape), device)
