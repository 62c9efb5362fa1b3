"""A folder of pictures, nested as it comes, decoded once and mapped into memory afterwards."""

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import final

import numpy as np
import torch

from vae_cli import images
from vae_cli.data import cache
from vae_cli.data.dataset import Divided, Progress, Spec, Split
from vae_cli.data.split import divide
from vae_cli.errors import UsageError
from vae_cli.files import write_whole

BACKGROUND = 255  # behind what is transparent: most such pictures were made for a white page
LOOKED_AT = 256  # pictures whose headers decide about size and channels
SIZES = (16, 28, 32, 64)  # edges to choose from; more is a choice for a person
HELD_OUT = ("test", "val", "valid", "validation")
VERSION = 1  # of what is decoded; a change makes every folder be decoded anew


@dataclass(frozen=True)
class Found:
    """A picture's file.

    Attributes:
        name: the path below the folder, with `/` between its parts.
        size: bytes.
        changed: when, in nanoseconds.
    """

    name: str
    size: int
    changed: int

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders it lies in, from the top, without a leading `train` or `test`."""
        parts = tuple(self.name.split("/")[:-1])
        return parts[1:] if parts[:1] in {("train",), *((name,) for name in HELD_OUT)} else parts

    @property
    def held_out(self) -> bool:
        """Whether it lies in the folder's own test part."""
        return self.name.split("/")[0] in HELD_OUT


@final
class PictureFolder(Divided):
    """All pictures in a folder and below.

    Their size and channels are derived from the pictures unless they are given. Folders named
    `train` and `test` are the two parts; without them an item's name decides. Where every picture
    lies in a sub-folder, those are the classes.

    Args:
        path: the folder.
        image_size: height and width; 0 derives one.
        channels: 1 for grey, 3 for RGB; 0 derives them.
        like: items whose shape, background and cropping the pictures are given in place of these.
        test_fraction: the expected share of the pictures that is held out.
        progress: called with the pictures decoded so far, and all.

    Raises:
        UsageError: there are no pictures, or none that can be read.
        VAEError: the cache cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        image_size: int = 0,
        channels: int = 0,
        like: Spec | None = None,
        test_fraction: float,
        progress: Progress,
    ) -> None:
        self.path, self.test_fraction, self.progress = path, test_fraction, progress
        self.found = sorted(scan(path), key=lambda found: found.name)
        if not self.found:
            raise UsageError(f"no pictures in {path}: looked for {', '.join(images.SUFFIXES)}")
        if like is None and not (image_size and channels):
            size, bands = derive([path / found.name for found in self.found])
            image_size, channels = image_size or size, channels or bands
        made = like or Spec("", (channels, image_size, image_size), (), BACKGROUND, cropped=True)
        tops = {found.parts[:1] for found in self.found}
        classes = sorted(top[0] for top in tops if top)
        classes = [] if () in tops or len(classes) == 1 else classes
        self.spec = dataclasses.replace(made, name=path.name, classes=tuple(classes))

    def divide(self) -> tuple[Split, Split]:
        """Decode what is not in the cache, then tell the two parts.

        Raises:
            UsageError: no picture can be read, or one of the parts would be empty.
            VAEError: the cache cannot be written.
        """
        facts = [[found.name, found.size, found.changed] for found in self.found]
        made: list[object] = [VERSION, str(self.path.resolve()), self.spec.shape, facts]
        if (self.spec.background, self.spec.cropped) != (BACKGROUND, True):
            made += [self.spec.background, self.spec.cropped]
        text = json.dumps(made)
        key = f"pictures-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        pixels, unreadable = cache.mapped(key, (len(facts), *self.spec.shape), self._decode)
        rows = [row for row in range(len(facts)) if str(row) not in unreadable]
        if not rows:
            none = f"none of the {len(facts):,} pictures in {self.path} can be read"
            raise UsageError(f"{none}; the first: {unreadable['0']}")
        if unreadable:
            log = cache.folder() / f"{key}.log"
            lines = "".join(f"{line}\n" for line in unreadable.values())
            write_whole(log, lines.encode(errors="backslashreplace"))
            warnings.warn(
                f"{len(unreadable):,} of {len(facts):,} pictures cannot be read and are left out; "
                f"{log} names them",
                stacklevel=2,
            )
        return self._parts(pixels, rows)

    def names(self, split: Split) -> list[str]:
        """The paths of a part's pictures below the folder."""
        return [self.found[row].name for row in split.rows.tolist()]

    def _parts(self, pixels: torch.Tensor, rows: list[int]) -> tuple[Split, Split]:
        """The folder's own two parts, or else those that the names make."""
        found = [self.found[row] for row in rows]
        of = {name: number for number, name in enumerate(self.spec.classes)}
        labels = torch.tensor([of[one.parts[0]] for one in found] if of else [], dtype=torch.int64)
        where = torch.tensor(rows)
        held_out = torch.tensor([one.held_out for one in found])
        if held_out.any() and not held_out.all():
            parts = (~held_out).nonzero()[:, 0], held_out.nonzero()[:, 0]
        else:
            keys = [one.name.encode(errors="surrogateescape") for one in found]
            parts = divide(keys, self.test_fraction, self.spec.name)
        train, test = (Split(pixels, where[part], labels[part] if of else labels) for part in parts)
        return train, test

    def _decode(self, pixels: np.ndarray) -> dict[str, str]:
        """Decode every picture into its row; returns why some were not, by row."""
        unreadable: dict[str, str] = {}

        def decode(row: int) -> None:
            path, spec = self.path / self.found[row].name, self.spec
            try:
                picture = images.decode(
                    path, spec.shape, background=spec.background, crop=spec.cropped
                )
                pixels[row] = picture.pixels.numpy()
            except UsageError as error:
                unreadable[str(row)] = str(error)

        in_parallel(decode, len(self.found), self.progress)
        return unreadable


def in_parallel(work: Callable[[int], None], count: int, progress: Progress) -> None:
    """Call `work` with each number below `count`, several at a time."""
    with images.unwarned(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, _ in enumerate(pool.map(work, range(count)), 1):
                progress(done, count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def scan(folder: Path) -> Iterator[Found]:
    """The pictures in a folder and below, by their suffixes; hidden ones are left out."""
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(images.SUFFIXES) and not name.startswith("."):
                path = Path(top, name)
                if path.is_file():
                    facts = path.stat()
                    below = path.relative_to(folder).as_posix()
                    yield Found(below, facts.st_size, facts.st_mtime_ns)


def derive(paths: Sequence[Path]) -> tuple[int, int]:
    """A size and a number of channels that suit some pictures, from the headers of a few of them.

    The size is the largest of 16, 28, 32 and 64 that half of them can fill; where all have the same
    edge and it is no larger than 64, that. They are grey only where all of them are.
    """
    step = max(1, len(paths) // LOOKED_AT)
    found = [facts for path in paths[::step] if (facts := images.header(path))]
    if not found:
        return SIZES[-1], 3
    edges = [min(width, height) for width, height, _ in found]
    grey = all(mode in images.GREY for _, _, mode in found)
    if len(set(edges)) == 1 and SIZES[0] <= edges[0] <= SIZES[-1]:
        return edges[0], 1 if grey else 3
    fitting = [size for size in SIZES if size <= median(edges)]
    return fitting[-1] if fitting else SIZES[0], 1 if grey else 3
