"""A data set in shards: its training set is streamed, and what is held out is in memory."""

import functools
import hashlib
import math
import warnings
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.batches import chunk_length, wrap_array
from vae_cli.data.cache import cached_tensor
from vae_cli.data.dataset import Dataset, Parts, Progress
from vae_cli.data.held_out import divide
from vae_cli.data.shard_source import OpenedShards
from vae_cli.data.shards import PartName
from vae_cli.data.split import InMemory
from vae_cli.data.streamed import AnySplit, Streamed, read_ahead
from vae_cli.errors import VAEWarning

MAX_DECODED, MAX_DECODED_BYTES = 10_000, 2**30  # items of a part that are kept decoded
PARTS: tuple[PartName, ...] = ("train", "test", "validation")
VERSION = 1  # of the decoded items in the cache


@final
class ShardedPictures(Dataset):
    """Pictures in shards.

    Shards whose names say so are the parts; without them, a hash of each item's key decides. The
    training set is read anew in every epoch. What is held out is decoded once, into the cache; if
    it is too much, a random sample of it is used.

    Args:
        opened: where the items are, and what they are.
        test_fraction: the expected share of the items that is held out; 0 holds out none.
        window: of the shuffle of an epoch, in items.
        progress: called with the number of pictures decoded so far and the total.
    """

    has_files = True

    def __init__(
        self,
        opened: OpenedShards,
        test_fraction: float,
        window: int,
        progress: Progress,
    ) -> None:
        self.shards, self.spec, self.files, self.notes, self.own_stamp = opened
        self.test_fraction, self.window, self.progress = test_fraction, window, progress
        self.decoded: dict[str, tuple[InMemory, Tensor]] = {}  # parts, and the numbers of the items

    def read(self) -> Parts:
        """Divide the items, and decode those that are held out unless they are in the cache.

        Raises:
            UsageError: one of the parts would be empty.
            VAEError: a shard cannot be read, or the cache cannot be written.
        """
        for note in self.notes:
            warnings.warn(VAEWarning(note), stacklevel=2)
        whole = Streamed.whole(self.shards, self.window)
        rows = self._own_rows() or self._divided_rows()
        parts = {name: whole.take(some) for name, some in rows.items()}
        held_out = {name: self.in_memory(part) for name, part in parts.items() if name != "train"}
        return Parts(train=parts["train"], **held_out)

    def _own_rows(self) -> dict[PartName, Tensor] | None:
        """The items of each part if the names of the shards tell; validation alone is the test."""
        sizes, known = self.shards.starts.diff(), [part or "train" for part in self.shards.parts]
        owners = torch.tensor([PARTS.index(part) for part in known]).repeat_interleave(sizes)
        rows = [(owners == number).nonzero()[:, 0] for number in range(len(PARTS))]
        found = {part: some for part, some in zip(PARTS, rows, strict=True) if len(some)}
        if "test" not in found and "validation" in found:
            found["test"] = found.pop("validation")
        return found if found.keys() >= {"train", "test"} else None

    def _divided_rows(self) -> dict[PartName, Tensor]:
        """The items to train on, and those held out, by the hashes of their keys."""
        train, test = divide(self.shards.hashes, self.test_fraction, self.spec.name)
        return {"train": train, "test": test}

    def source_files(self) -> list[Path]:
        """The files of the shards that are on this machine."""
        return list(self.files)

    @functools.cached_property
    def stamp(self) -> str:
        """Of all shards, also those at a URL."""
        return self.own_stamp

    def in_memory(self, part: AnySplit) -> InMemory:
        """A part, or a random sample of it, decoded into the cache, in a random order.

        Raises:
            VAEError: a shard cannot be read, or the cache cannot be written.
        """
        if isinstance(part, InMemory):
            return part
        part = self._limited(part)
        key = f"shards-{digest_of(part, self.stamp)}"
        if key not in self.decoded:
            order = self.shards.hashes[part.rows].argsort(stable=True)
            whole = InMemory.whole(self._decode(part, key), part.labels)
            self.decoded[key] = (whole.take(order), part.rows)
        return self.decoded[key][0]

    def _limited(self, part: Streamed) -> Streamed:
        """A part, or a random sample of it if it is too large to be decoded as a whole."""
        size = math.prod(part.shape) * self.shards.dtype.itemsize
        limit = max(1, min(MAX_DECODED, MAX_DECODED_BYTES // size))
        if len(part) <= limit:
            return part
        warnings.warn(
            VAEWarning(
                f"{self.spec.name}: of {len(part):,} items that would have to be in memory, a "
                f"random sample of {limit:,} is used"
            ),
            stacklevel=3,
        )
        return part.take(part.sample(limit, seed=0))

    def _decode(self, part: Streamed, key: str) -> Tensor:
        """The items of a part, `(N, C, H, W)`, from the cache if possible."""
        rows, dtype = part.rows, self.shards.dtype
        *sides, width = part.shape

        def fill(pixels: np.ndarray) -> None:
            done, out = 0, wrap_array(pixels).view(dtype)
            for items in read_ahead(self.shards, rows, chunk_length(part.shape)):
                out[done : done + len(items)] = items
                done += len(items)
                self.progress(done, len(rows))

        shape = (len(rows), *sides, width * dtype.itemsize)
        pixels, _ = cached_tensor(key, shape, fill=fill, progress=self.progress)
        return pixels.view(dtype)

    def names(self, split: InMemory) -> list[str]:
        """The keys of a part's items."""
        numbers = next(
            numbers for part, numbers in self.decoded.values() if part.items is split.items
        )
        return self.shards.keys(numbers[split.rows])


def digest_of(part: Streamed, stamp: str) -> str:
    """A name for decoded items that changes with anything that decides about them.

    Args:
        part: the items.
        stamp: of the files that they are in.
    """
    digest = hashlib.sha256(f"{VERSION} {part.shape} {part.shards.digest} {stamp}".encode())
    digest.update(part.rows.numpy().tobytes())
    return digest.hexdigest()[:32]
