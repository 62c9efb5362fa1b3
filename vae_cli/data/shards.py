"""Shards: a data set in many files, each of which is read from about its beginning to its end.

A set that outgrows the memory, or the disk, is kept in files of some thousand items, which are
called shards (Aizman et al., 2019, https://arxiv.org/abs/2001.01858). A disk and a network are fast
as long as they read one after another what lies one after another, so an epoch does not visit the
items anywhere, as it does in memory: it visits shards, and only in them items in a random order.

Here is what a training needs of shards, in whatever format; streamed.py decides about the order
and reads ahead.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor

PartName = Literal["train", "validation", "test"]


class Shards(Protocol):
    """Items in files, numbered through all of them: those of a shard follow each other.

    The methods may be called from several threads at once. Each process has an object of its own,
    which it may have got from another one by `pickle`.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, H, W)` of every item."""

    @property
    def dtype(self) -> torch.dtype:
        """Of every item: uint8, or a float with values in [0, 1]."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the shards, for messages: `(S,)`."""

    @property
    def starts(self) -> Tensor:
        """The number of the first item of each shard, and that of all items: int64 `(S + 1,)`."""

    @property
    def parts(self) -> Sequence[PartName | None]:
        """The part that each shard belongs to by its name, `(S,)`; None if it does not say."""

    @property
    def labels(self) -> Tensor:
        """Indices into the classes of the data set: int64 `(N,)`, or `(0,)` if they are unknown."""

    @property
    def hashes(self) -> Tensor:
        """Of the keys of the items, float64 `(N,)` in [0, 1); they decide what is held out."""

    @property
    def digest(self) -> str:
        """A text that changes with the items.

        It is of the names, sizes and some bytes of the shards, of keys and labels, and of how
        pictures become items.
        """

    def keys(self, items: Tensor) -> list[str]:
        """The names of some items, by their numbers, int64 `(M,)`."""

    def prepare(self, shard: int) -> None:
        """Make ready what `read` needs of a shard, which may take long: fetch it, or open it.

        It is called in a thread, some time before the shard is first read. A second call before
        `release` does nothing.

        Raises:
            VAEError: it cannot be had; one line that names the shard.
        """

    def read(self, shard: int, places: Tensor) -> Tensor:
        """Some items of a shard that is prepared.

        Args:
            shard: its index.
            places: int64 `(n,)`, of the items within the shard, in any order, the same one perhaps
                several times. Those of several calls lie near each other, in a window that moves
                from the beginning to the end.

        Returns:
            `(n, C, H, W)` of the `dtype`.

        Raises:
            VAEError: an item cannot be read; one line that names the shard and the item.
        """

    def release(self, shard: int) -> None:
        """Let go what `prepare` has made ready; the shard is not read until it is prepared again.

        A shard that is not prepared is left as it is. A `prepare` that is under way gives up soon.
        """
