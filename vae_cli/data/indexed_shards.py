"""What shards of pictures and of arrays share: their items are known from indexes."""

import hashlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.shard_files import ShardFile
from vae_cli.data.shard_index import ShardIndex
from vae_cli.data.shards import PartName


class OpenShard(Protocol):
    """A shard that is open."""

    def close(self) -> None:
        """Close it."""


Opened = TypeVar("Opened", bound=OpenShard)


class IndexedShards(ABC, Generic[Opened]):
    """Shards of one kind, with what their indexes say about the items.

    An object can be pickled; the shards that are open stay behind.

    Args:
        files: the shards.
        indexes: one for each of them.
        parts: what each of them is for; None if its name does not say.
        labels: int64 `(N,)`, indices into the classes; `(0,)` if there are none.
        shape: `(C, H, W)` of an item.
        dtype: of an item.
        reading: how items are read, which the digest depends on.
    """

    def __init__(
        self,
        *,
        files: Sequence[ShardFile],
        indexes: Sequence[ShardIndex],
        parts: Sequence[PartName | None],
        labels: Tensor,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        reading: object,
    ) -> None:
        self.files, self.parts = tuple(files), tuple(parts)
        self.labels, self.shape, self.dtype, self.reading = labels, shape, dtype, repr(reading)
        self.starts = torch.tensor([0, *np.cumsum([len(index) for index in indexes]).tolist()])
        self.hashes = torch.from_numpy(np.concatenate([one.numbers("hash") for one in indexes]))
        self.indexes = tuple(index.without("hash", "label") for index in indexes)
        self._close_all()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the shards."""
        return tuple(file.name for file in self.files)

    @property
    def digest(self) -> str:
        """Of the names, sizes and some bytes of the shards, the items, and how they are read."""
        pairs = zip(self.files, self.indexes, strict=True)
        known = [
            [file.name, file.size, index.facts["digest"], index.facts["sample"]]
            for file, index in pairs
        ]
        return hashlib.sha256(json.dumps([known, self.reading]).encode()).hexdigest()

    def keys(self, items: Tensor) -> list[str]:
        """The names of some items: that of the shard, and that in it."""
        shards = torch.searchsorted(self.starts, items, right=True) - 1
        places = (items - self.starts[shards]).tolist()
        return [
            f"{self.files[shard].name}{self.indexes[shard].key(place)}"
            for shard, place in zip(shards.tolist(), places, strict=True)
        ]

    def prepare(self, shard: int) -> None:
        """Open a shard; one that is elsewhere is brought here first.

        Raises:
            VAEError: it cannot be had.
        """
        with self._lock:
            lock = self._locks.setdefault(shard, threading.Lock())
        with lock:
            if shard not in self._open:
                self._open[shard] = self._open_shard(shard)

    def release(self, shard: int) -> None:
        """Close a shard."""
        opened = self._open.pop(shard, None)
        if opened is not None:
            opened.close()

    @abstractmethod
    def _open_shard(self, shard: int) -> Opened:
        """Open a shard.

        Raises:
            VAEError: it cannot be had.
        """

    def _close_all(self) -> None:
        self._open: dict[int, Opened] = {}
        self._lock, self._locks = threading.Lock(), dict[int, threading.Lock]()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in UNPICKLED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._close_all()


UNPICKLED = {"_open", "_lock", "_locks"}
