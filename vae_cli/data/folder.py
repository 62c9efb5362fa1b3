"""A folder of pictures and its sub-folders, decoded once and memory-mapped afterwards."""

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, final

import numpy as np
import torch

from vae_cli.data.cache import Unfinished, cache_folder, cached_tensor
from vae_cli.data.dataset import Parts, PictureRules, Progress, Spec, Split, UndividedDataset
from vae_cli.data.decoding import UnreadPictureError, decoders_silenced, read_header
from vae_cli.data.held_out import (
    are_equal,
    divide,
    hash_keys,
    hash_to_unit_interval,
    warn_of_copies,
)
from vae_cli.data.picture import GREY_MODES, decode_picture
from vae_cli.data.scan import Part, explain_left_out, scan_pictures
from vae_cli.errors import UsageError
from vae_cli.files import write_bytes

MAX_HEADERS = 256  # pictures whose headers are read to choose size and channels
HALF = 127  # of the largest pixel value
SIZES = (16, 28, 32, 64)  # pixels; a larger size is for the user to choose
DEFAULT_RULES = PictureRules()
VERSION = 3  # of the decoded pixels and their facts; a change makes every folder be decoded again


@final
class PictureFolder(UndividedDataset):
    """All pictures in a folder and its sub-folders.

    Size and channels are derived from the pictures unless they are given. Folders named `train`,
    `test` and `val` are the parts; without them, a hash of each item's pixels decides. If every
    picture is in a sub-folder, the sub-folders are the classes.

    Args:
        path: the folder.
        rules: how the pictures are read and divided.
        like: a spec whose shape, background and cropping are used instead.
        test_fraction: the expected share of the pictures that is held out.
        progress: called with the number of pictures decoded so far and the total.

    Raises:
        UsageError: there are no pictures in the folder, or it cannot be read.
    """

    has_files = True
    path: Path

    def __init__(
        self,
        path: Path,
        *,
        rules: PictureRules = DEFAULT_RULES,
        like: Spec | None = None,
        test_fraction: float,
        progress: Progress,
    ) -> None:
        self.path, self.test_fraction, self.progress = path, test_fraction, progress
        self.version, self.is_new = rules.version, like is None and rules.version > 1
        self.files, self.warnings = scan_pictures(path, rules.version)
        size, channels = rules.image_size, rules.channels
        if like is None and not (size and channels):
            derived = derive_size([path / file.name for file in self.files])
            size, channels = size or derived[0], channels or derived[1]
        spec = like or Spec("", (channels, size, size), (), rules.background, cropped=True)
        tops = {file.folders[:1] for file in self.files}
        classes = sorted(top[0] for top in tops if top)
        classes = [] if () in tops or len(classes) == 1 else classes
        self.spec = dataclasses.replace(spec, name=path.resolve().name, classes=tuple(classes))

    def divide(self) -> Parts:
        """Decode the pictures unless they are in the cache, then divide them.

        Raises:
            UsageError: no picture can be read, or one of the parts would be empty.
            VAEError: the cache cannot be written.
        """
        key = self._cache_key()
        shape = (len(self.files), *self.spec.shape)
        pixels, facts = cached_tensor(
            key, shape, self._decode_all, self.progress, refill=self._decode_unread
        )
        reasons: dict[str, str] = facts["damaged"] | facts["unread"]
        for sentence in self.warnings:
            warnings.warn(sentence, stacklevel=2)
        if reasons:
            log = cache_folder() / f"{key}.log"
            again = f"; the next start tries {len(facts['unread']):,} of them again"
            where = f"{log} names them{again if facts['unread'] else ''}"
            lines = [reasons[row] for row in sorted(reasons, key=int)]
            warning = explain_left_out(self.path, len(self.files), lines, where)
            text = "".join(f"{line}\n" for line in lines)
            write_bytes(log, text.encode(errors="backslashreplace"))
            warnings.warn(warning, stacklevel=2)
        rows = [row for row in range(len(self.files)) if str(row) not in reasons]
        hashes = torch.tensor([facts["hashes"][row] for row in rows], dtype=torch.float64)
        return self._parts(Split(pixels, torch.tensor(rows), self._labels(rows), hashes=hashes))

    def _cache_key(self) -> str:
        """A name for the decoded pixels that changes with anything that decides about them."""
        files = [[file.name, file.size, file.changed] for file in self.files]
        parts: list[object] = [VERSION, str(self.path.resolve()), self.spec.shape, files]
        if (self.spec.background, self.spec.cropped) != (DEFAULT_RULES.background, True):
            parts += [self.spec.background, self.spec.cropped]
        return f"pictures-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"

    def names(self, split: Split) -> list[str]:
        """The paths of a part's pictures, relative to the folder."""
        return [self.files[row].name for row in split.rows.tolist()]

    def _labels(self, rows: list[int]) -> torch.Tensor:
        """The class of each picture, int64 `(N,)`; `(0,)` if there are no classes."""
        numbers = {name: number for number, name in enumerate(self.spec.classes)}
        known = [numbers[self.files[row].folders[0]] for row in rows] if numbers else []
        return torch.tensor(known, dtype=torch.int64)

    def _parts(self, whole: Split) -> Parts:
        """The folder's own parts if it has them, or else those that the hashes decide."""
        self._refuse_hidden_ink(whole)
        found = self._own_parts(whole) or self._divided(whole)
        if self.test_fraction:  # or else they are for a model that has learned already
            warn_of_copies(found)
        return found

    def _refuse_hidden_ink(self, whole: Split) -> None:
        """Refuse pictures whose colour is that of the background behind them.

        Raises:
            UsageError: the first one is transparent, and all of them are equal.
        """
        assert whole.hashes is not None
        if not (self.is_new and are_equal(whole.hashes)):
            return
        first = read_header(self.path / self.files[int(whole.rows[0])].name)
        if first and first.is_transparent:
            other = "black" if self.spec.background > HALF else "white"
            raise UsageError(
                f"all {len(whole):,} pictures in {self.path} are equal, because what they show has "
                f"the colour of the background: try --background {other}"
            )

    def _own_parts(self, whole: Split) -> Parts | None:
        """The parts that the names of folders tell; a validation set alone is the test set."""
        places: dict[Part, list[int]] = {"train": [], "validation": [], "test": []}
        for place, row in enumerate(whole.rows.tolist()):
            places[self.files[row].part or "train"].append(place)
        found = {part: whole.take(torch.tensor(one)) for part, one in places.items() if one}
        train, test, validation = (found.get(part) for part in ("train", "test", "validation"))
        if test is None:
            test, validation = validation, None
        return None if train is None or test is None else Parts(train, test, validation)

    def _divided(self, whole: Split) -> Parts:
        assert whole.hashes is not None
        hashes = whole.hashes
        if self.version == 1:
            names = [self.files[row].name for row in whole.rows.tolist()]
            hashes = hash_keys(name.encode(errors="surrogateescape") for name in names)
        return Parts(*map(whole.take, divide(hashes, self.test_fraction, self.spec.name)))

    def _decode_all(self, pixels: np.ndarray) -> Any:
        """Decode every picture into its row; returns their hashes and why some failed."""
        count = len(self.files)
        return self._decode(pixels, range(count), {"damaged": {}, "hashes": [0.0] * count})

    def _decode_unread(self, pixels: np.ndarray, facts: Any) -> Any:
        """Decode those pictures that the system could not read before."""
        return self._decode(pixels, list(map(int, facts["unread"])), facts)

    def _decode(self, pixels: np.ndarray, rows: Sequence[int], known: Any) -> Any:
        """Decode some pictures into their rows.

        Args:
            pixels: uint8 `(N, C, H, W)`.
            rows: the numbers of the pictures.
            known: the facts about the other pictures.

        Returns:
            The hash of the pixels of each picture in `hashes`, and the reasons why pictures failed,
            by row: in `damaged` those about their contents, which are final, and in `unread` the
            others.
        """
        damaged, unread, hashes = dict(known["damaged"]), {}, list(known["hashes"])

        def decode(number: int) -> None:
            row, spec = rows[number], self.spec
            path = self.path / self.files[row].name
            try:
                picture = decode_picture(
                    path, spec.shape, background=spec.background, crop=spec.cropped
                )
                pixels[row] = picture.pixels.numpy()
                hashes[row] = hash_to_unit_interval(pixels[row].tobytes())
            except UnreadPictureError as error:
                unread[str(row)] = str(error)
            except UsageError as error:
                damaged[str(row)] = str(error)

        map_in_threads(decode, len(rows), self.progress)
        facts = {"damaged": damaged, "unread": unread, "hashes": hashes}
        return Unfinished(facts) if unread else facts


def map_in_threads(work: Callable[[int], None], count: int, progress: Progress) -> None:
    """Call `work` with each number below `count`, in as many threads as there are processors."""
    with decoders_silenced(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, _ in enumerate(pool.map(work, range(count)), 1):
                progress(done, count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def derive_size(paths: Sequence[Path]) -> tuple[int, int]:
    """A size in pixels and a number of channels that suit some pictures.

    They are chosen from the headers of at most 256 pictures. The size is the largest of 16, 28, 32
    and 64 that half of them can fill. If all have the same edge, and it is between 16 and 64, that
    edge is the size. The channels are grey only if all pictures are grey.
    """
    step = max(1, len(paths) // MAX_HEADERS)
    headers = [header for path in paths[::step] if (header := read_header(path))]
    if not headers:
        return SIZES[-1], 3
    edges = [min(header.width, header.height) for header in headers]
    channels = 1 if all(header.mode in GREY_MODES for header in headers) else 3
    if len(set(edges)) == 1 and SIZES[0] <= edges[0] <= SIZES[-1]:
        return edges[0], channels
    filled = [size for size in SIZES if size <= median(edges)]
    return filled[-1] if filled else SIZES[0], channels
