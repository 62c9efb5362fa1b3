"""Pictures in shards, decoded when they are read, as those of folders are."""

import warnings
from collections.abc import Callable, Sequence
from io import BufferedReader
from typing import Any, Protocol, final

import torch
from torch import Tensor

from vae_cli.data.indexed_shards import IndexedShards
from vae_cli.data.picture import Fitting, decode_picture
from vae_cli.data.picture_files import PackedPicture, silence_pillow
from vae_cli.data.shard_index import ShardIndex
from vae_cli.data.value_range import OutsideRangeError
from vae_cli.errors import UsageError, VAEError, VAEWarning

MAX_WARNINGS = 5  # of pictures that cannot be read; further ones are only counted


class OpenPictures(Protocol):
    """A shard of pictures that is open."""

    def contents(self, places: Sequence[int]) -> list[bytes]:
        """The bytes of some pictures."""

    def close(self) -> None:
        """Close it."""


@final
class PictureShards(IndexedShards[OpenPictures]):
    """Pictures in tar or Parquet files.

    A picture that cannot be decoded is left out: the next one of its shard takes its place. So an
    epoch has the same items, whatever process and thread reads them.

    Args:
        open_pictures: opens a file with its index.
        fitting: how pictures become items.
        is_new: whether the range of values can be chosen now.
        known: as those of `IndexedShards`.

    Attributes:
        damaged: why pictures cannot be decoded, by shard and place, as far as they were read.
    """

    def __init__(
        self,
        open_pictures: Callable[[BufferedReader, ShardIndex], OpenPictures],
        fitting: Fitting,
        *,
        is_new: bool,
        **known: Any,
    ) -> None:
        super().__init__(**known, shape=fitting.shape, dtype=torch.uint8, reading=fitting)
        self.open_pictures, self.fitting, self.is_new = open_pictures, fitting, is_new
        self.damaged: dict[tuple[int, int], str] = {}

    def _open_shard(self, shard: int) -> OpenPictures:
        silence_pillow()
        file = self.files[shard]
        try:
            return self.open_pictures(file.open(), self.indexes[shard])
        except OSError as error:
            raise VAEError(f"cannot read {file.path}: {error.strerror or error}") from error

    def read(self, shard: int, places: Tensor) -> Tensor:
        """Some pictures of a shard that is prepared: uint8 `(n, C, H, W)`.

        Raises:
            VAEError: the shard cannot be read, or none of its pictures.
        """
        items = torch.empty(len(places), *self.shape, dtype=torch.uint8)
        numbers = places.tolist()
        for row, content in enumerate(self._contents(shard, numbers)):
            pixels = self._decode(shard, numbers[row], content)
            items.numpy()[row] = pixels.numpy()  # torch would start threads of its own
        return items

    def _contents(self, shard: int, places: Sequence[int]) -> list[bytes]:
        try:
            return self._open[shard].contents(places)
        except OSError as error:
            path = self.files[shard].path
            raise VAEError(f"cannot read {path}: {error.strerror or error}") from error

    def _decode(self, shard: int, place: int, content: bytes) -> Tensor:
        """A picture, or the next one of its shard that can be decoded.

        Raises:
            VAEError: there is none.
        """
        count, path = len(self.indexes[shard]), self.files[shard].path
        for step in range(count):
            now = (place + step) % count
            if step:
                (content,) = self._contents(shard, [now])
            picture = PackedPicture(f"{path}{self.indexes[shard].key(now)}", content)
            try:
                return decode_picture(picture, self.fitting).pixels
            except OutsideRangeError as error:  # it concerns all pictures
                raise (error.with_remedy() if self.is_new else error) from error
            except UsageError as error:
                self._leave_out(shard, now, error.message)
        raise VAEError(f"no picture in {path} can be read; one: {self.damaged[shard, place]}")

    def _leave_out(self, shard: int, place: int, reason: str) -> None:
        """Note why a picture cannot be decoded, and say it once; of many, only the first ones."""
        with self._lock:
            is_known = (shard, place) in self.damaged
            self.damaged[shard, place] = reason
            count = len(self.damaged)
        if is_known or count > MAX_WARNINGS:
            return
        more = "; further ones are left out without a line" if count == MAX_WARNINGS else ""
        text = f"{reason}; it is left out, and the next one of its shard takes its place{more}"
        warnings.warn(VAEWarning(text), stacklevel=2)
