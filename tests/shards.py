"""Shards for tests: images that know which item they are, and files of small photographs."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from shard_files import picture, write_tar
from torch import Tensor

from vae_cli.data.held_out import hash_keys
from vae_cli.data.shards import PartName


class NumberedShards:
    """Images `(1, H, W)` whose first three bytes are the number of the item.

    Attributes:
        reads: the shard and the places of each call of `read`.
        ready: the shards that are prepared now.
        most_ready: how many have been so at a time.
        delay: seconds that it takes to prepare a shard.
        failing: shards that cannot be read, and the error.
    """

    def __init__(self, sizes: Sequence[int], shape: tuple[int, ...] = (1, 2, 2)) -> None:
        self.shape, self.dtype = shape, torch.uint8
        self.names = [f"shard-{index}.tar" for index in range(len(sizes))]
        self.starts = torch.tensor([0, *sizes]).cumsum(0)
        self.parts: Sequence[PartName | None] = [None] * len(sizes)
        self.labels = torch.arange(sum(sizes)) % 3
        self.reads: list[tuple[int, list[int]]] = []
        self.ready: set[int] = set()
        self.most_ready, self.delay = 0, 0.0
        self.failing: dict[int, Exception] = {}
        self.digest = f"{sizes}"
        self._lock = threading.Lock()

    @property
    def hashes(self) -> Tensor:
        return hash_keys(key.encode() for key in self.keys(torch.arange(int(self.starts[-1]))))

    def keys(self, items: Tensor) -> list[str]:
        return [f"item {item}" for item in items.tolist()]

    def prepare(self, shard: int) -> None:
        time.sleep(self.delay)
        with self._lock:
            self.ready.add(shard)
            self.most_ready = max(self.most_ready, len(self.ready))

    def read(self, shard: int, places: Tensor) -> Tensor:
        with self._lock:
            assert shard in self.ready
            self.reads.append((shard, places.tolist()))
        if shard in self.failing:
            raise self.failing[shard]
        return images_of(self.starts[shard] + places, self.shape)

    def release(self, shard: int) -> None:
        with self._lock:
            self.ready.discard(shard)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_lock": None, "ready": set()}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def images_of(items: Tensor, shape: Sequence[int]) -> Tensor:
    """The images of some items, by their numbers: uint8."""
    images = torch.zeros(len(items), torch.Size(shape).numel(), dtype=torch.uint8)
    for place in range(3):
        images[:, place] = (items >> 8 * place) & 255
    return images.view(len(items), *shape)


def numbers_of(images: Tensor) -> Tensor:
    """The numbers of the items that these encoded images show: int64 `(B,)`."""
    digits = (images.flatten(1)[:, :3] * 255).round().long()
    return digits @ torch.tensor([1, 256, 65536])


PATTERN = "photos-{000..005}.tar"


def write_photos(folder: Path, count: int = 6, items: int = 40) -> None:
    """Shards of grey pictures of two classes; each is a little smaller than the one before."""
    for shard in range(count):
        files = {}
        for item in range(items - shard):
            key = f"{shard}-{item:03}"
            files[f"{key}.png"] = picture("PNG", "L", (16, 16), 100 * shard + item)
            files[f"{key}.cls"] = b"cat" if item % 3 else b"dog"
        write_tar(folder / f"photos-{shard:03}.tar", files)
