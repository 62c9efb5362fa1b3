"""A folder of pictures and its sub-folders, decoded once and memory-mapped afterwards."""

import dataclasses
import functools
import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, final

import numpy as np
import torch

from vae_cli.data.cache import cache_folder, cached_tensor
from vae_cli.data.dataset import DEFAULT_PICTURES, Dataset, Parts, PictureRules, Progress, Spec
from vae_cli.data.folder_files import (
    MASKS,
    NO_FACTS,
    Part,
    PictureFile,
    count_all_pages,
    decode_files,
    explain_left_out,
    explain_pages,
    measure_files,
    scan_pictures,
)
from vae_cli.data.held_out import are_equal, divide, hash_keys, warn_of_copies
from vae_cli.data.memory import require_items
from vae_cli.data.picture import GREY_MODES
from vae_cli.data.picture_files import Header, read_header
from vae_cli.data.split import InMemory
from vae_cli.data.value_range import (
    UNIT,
    Limits,
    OutsideRangeError,
    Range,
    Values,
    advise_on_darkness,
    explain_masks,
    explain_outside,
    join_values,
    require_span,
)
from vae_cli.errors import UsageError, VAEError, VAEWarning, mark
from vae_cli.files import write_bytes

MAX_HEADERS = 256  # pictures whose headers are read to choose size and channels
SIZES = (16, 28, 32, 64)  # pixels; a larger size is for the user to choose
COUNT_TYPE = np.dtype("<u4")  # of the number of pages of a file, in the cache
HALF = 127  # of the largest pixel value
VERSION = 5  # of the decoded pixels and their facts; a change makes every folder be decoded again


def derive_size(paths: Sequence[Path]) -> tuple[int, int]:
    """A size in pixels and a number of channels that suit the pictures in some files.

    At most about 500 of them are looked at.
    """
    step = max(1, len(paths) // MAX_HEADERS)
    return choose_size([header for path in paths[::step] if (header := read_header(path))])


def choose_size(headers: Sequence[Header]) -> tuple[int, int]:
    """A size in pixels and a number of channels that suit pictures with these headers.

    The size is the largest of 16, 28, 32 and 64 that half of them can fill. If all have the same
    edge, and it is between 16 and 64, that edge is the size. The channels are grey only if all
    pictures are grey.
    """
    if not headers:
        return SIZES[-1], 3
    edges = [min(header.width, header.height) for header in headers]
    channels = 1 if all(header.mode in GREY_MODES for header in headers) else 3
    if len(set(edges)) == 1 and SIZES[0] <= edges[0] <= SIZES[-1]:
        return edges[0], channels
    filled = [size for size in SIZES if size <= median(edges)]
    return filled[-1] if filled else SIZES[0], channels


@final
class PictureFolder(Dataset):
    """All pictures in a folder and its sub-folders.

    Size and channels are derived from the pictures unless they are given. Folders named `train`,
    `test` and `val` are the parts; without them, a hash of each item's pixels decides. If every
    picture is in a sub-folder, the sub-folders are the classes.

    Args:
        path: the folder.
        rules: how the pictures are read. The range `data` is measured on the pictures
            in `train`, if there are two parts, and otherwise on all, because the parts depend on
            the pixels.
        version: of the rules, as in `open_dataset`.
        like: a spec whose shape, background, cropping, range and frames are used instead.
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
        rules: PictureRules = DEFAULT_PICTURES,
        version: int = 2,
        like: Spec | None = None,
        test_fraction: float,
        progress: Progress,
    ) -> None:
        self.path, self.test_fraction, self.progress = path, test_fraction, progress
        self.version, self.is_new = version, like is None and version > 1
        self.limits: Range = like.range if like else rules.value_range
        self.files, self.warnings = scan_pictures(path, version)
        size, channels = rules.image_size, rules.channels
        if like is None and not (size and channels):
            derived = derive_size([path / file.name for file in self.files])
            size, channels = size or derived[0], channels or derived[1]
        spec = like or Spec(
            "",
            (channels, size, size),
            background=rules.background,
            cropped=True,
            frames=rules.frames,
        )
        tops = {file.folders[:1] for file in self.files}
        classes = sorted(top[0] for top in tops if top)
        classes = [] if () in tops or len(classes) == 1 else classes
        self.spec = dataclasses.replace(spec, name=path.resolve().name, classes=tuple(classes))

    def read(self) -> Parts:
        """Decode the pictures unless they are in the cache, then divide them.

        Raises:
            UsageError: no picture can be read, or one of the parts would be empty.
            VAEError: the cache cannot be written.
        """
        limits = self._measure() if self.limits == "data" else self.limits
        pixels, facts = self._read_pixels(limits)
        if self.is_new and limits is None and facts["values"] == MASKS:
            warnings.warn(VAEWarning(explain_masks(self.path)), stacklevel=2)
            pixels, facts = self._read_pixels(UNIT)
        reasons: dict[str, str] = facts["damaged"] | facts["unread"]
        self._warn(facts, [reasons[row] for row in sorted(reasons, key=int)])
        rows = [row for row in range(len(self.items)) if str(row) not in reasons]
        hashes = torch.tensor([facts["hashes"][row] for row in rows], dtype=torch.float64)
        return self._parts(InMemory(pixels, torch.tensor(rows), self._labels(rows), hashes=hashes))

    def _read_pixels(self, limits: Limits | None) -> tuple[torch.Tensor, Any]:
        """The pixels with a range of values, and the facts about them, from the cache if possible.

        Raises:
            UsageError: a value is beyond what is black and white without a range.
            VAEError: the cache cannot be written.
        """
        self.spec = dataclasses.replace(self.spec, range=limits)
        shape = (len(self.items), *self.spec.shape)
        try:
            return cached_tensor(
                self._cache_key(),
                shape,
                fill=self._decode_all,
                progress=self.progress,
                refill=self._decode_unread,
            )
        except OutsideRangeError as error:
            raise error.with_remedy() if self.is_new else error from error

    def _measure(self) -> Limits:
        """The smallest and the largest value in the pictures of the training set.

        Raises:
            UsageError: there are no two values, or one is no finite number.
        """
        kept = [file for file in self.files if (file.part or "train") == "train"] or self.files
        paths = [self.path / file.name for file in kept]
        found = measure_files(paths, self.spec.frames, self.progress)
        return require_span(found, self.path)

    def _write_log(self, reasons: Sequence[str]) -> str:
        """Write why pictures are left out; says where it is, or the first if it cannot be written.

        A cache that others have filled may not be writable.
        """
        log = cache_folder() / f"{self._cache_key()}.log"
        text = "".join(f"{line}\n" for line in reasons)
        try:
            write_bytes(log, text.encode(errors="backslashreplace"))
        except VAEError:
            return f"the first: {reasons[0]}"
        return f"{log} names them"

    def _warn(self, facts: Any, reasons: Sequence[str]) -> None:
        """Say what is unusual about the pictures.

        Args:
            facts: those that the cache has.
            reasons: why some pictures are left out.

        Raises:
            UsageError: all of them are.
        """
        found = list(self.warnings)
        if reasons:
            unread = len(facts["unread"])
            again = f"; the next start tries {unread:,} of them again" if unread else ""
            where = f"{self._write_log(reasons)}{again}"
            found.append(explain_left_out(self.path, len(self.items), reasons, where))
        if self.spec.range and facts["outside"]:
            count = len(self.items) - len(reasons)
            found.append(explain_outside(facts["outside"], count, self.spec.range, self.path))
        files_with_pages, left_out = facts["pages"]
        if left_out:
            remedy = f": {mark('data.frames=all')} makes an item of each" if self.is_new else ""
            found.append(explain_pages(files_with_pages, left_out, self.path) + remedy)
        found += self._find_darkness(facts["values"]) if self.is_new else []
        for text in filter(None, found):
            warnings.warn(VAEWarning(text), stacklevel=3)

    def _find_darkness(self, known: dict[str, list[float]]) -> list[str]:
        """A hint for each type of number whose values are far below white."""
        found = {float(white): Values(*values) for white, values in known.items()}
        if self.spec.range and found:
            found = {self.spec.range[1]: join_values(found.values())}
        hints = [advise_on_darkness(values, white) for white, values in found.items()]
        return [f"{self.path}: {hint}" for hint in hints if hint]

    def _cache_key(self) -> str:
        """A name for the decoded pixels that changes with anything that decides about them."""
        spec, pages = self.spec, [file.pages for file in self._counted_files]
        reading = [spec.shape, spec.background, spec.cropped, spec.range, spec.frames]
        return self._hash_files("pictures", [*reading, pages])

    def _hash_files(self, prefix: str, parts: list[object]) -> str:
        """A name that changes with the files and with what else decides."""
        files = [[file.name, file.size, file.changed] for file in self.files]
        facts = json.dumps([VERSION, str(self.path.resolve()), files, *parts])
        return f"{prefix}-{hashlib.sha256(facts.encode()).hexdigest()[:32]}"

    def source_files(self) -> list[Path]:
        """The files of the pictures."""
        return [self.path / file.name for file in self.files]

    def names(self, split: InMemory) -> list[str]:
        """The paths of a part's pictures, relative to the folder; a page has its number in `[]`."""
        return [self.items[row][1] for row in split.rows.tolist()]

    def _labels(self, rows: list[int]) -> torch.Tensor:
        """The class of each picture, int64 `(N,)`; `(0,)` if there are no classes."""
        numbers = {name: number for number, name in enumerate(self.spec.classes)}
        known = [numbers[self.items[row][0].folders[0]] for row in rows] if numbers else []
        return torch.tensor(known, dtype=torch.int64)

    def _parts(self, whole: InMemory) -> Parts:
        """The folder's own parts if it has them, or else those that the hashes decide."""
        self._refuse_hidden_ink(whole)
        found = self._own_parts(whole) or self._divided(whole)
        if self.test_fraction:  # or else they are for a model that has learned already
            warn_of_copies(found)
        return found

    def _refuse_hidden_ink(self, whole: InMemory) -> None:
        """Refuse pictures whose colour is that of the background behind them.

        Raises:
            UsageError: the first one is transparent, and all of them are equal.
        """
        assert whole.hashes is not None
        if not (self.is_new and are_equal(whole.hashes)):
            return
        first = read_header(self.path / self.items[int(whole.rows[0])][0].name)
        if first and first.is_transparent:
            other = "black" if self.spec.background > HALF else "white"
            raise UsageError(
                f"all {len(whole):,} pictures in {self.path} are equal, because what they show has "
                f"the colour of the background: try {mark(f'data.background={other}')}"
            )

    def _own_parts(self, whole: InMemory) -> Parts | None:
        """The parts that the names of folders tell; a validation set alone is the test set."""
        places: dict[Part, list[int]] = {"train": [], "validation": [], "test": []}
        for place, row in enumerate(whole.rows.tolist()):
            places[self.items[row][0].part or "train"].append(place)
        found = {part: whole.take(torch.tensor(one)) for part, one in places.items() if one}
        train, test, validation = (found.get(part) for part in ("train", "test", "validation"))
        if test is None:
            test, validation = validation, None
        return None if train is None or test is None else Parts(train, test, validation)

    def _divided(self, whole: InMemory) -> Parts:
        assert whole.hashes is not None
        hashes = whole.hashes
        if self.version == 1:
            names = self.names(whole)
            hashes = hash_keys(name.encode(errors="surrogateescape") for name in names)
        return Parts(*map(whole.take, divide(hashes, self.test_fraction, self.spec.name)))

    def _decode_all(self, pixels: np.ndarray) -> Any:
        """Decode every picture into its row; returns the facts about them."""
        return self._decode(pixels, NO_FACTS)

    def _decode_unread(self, pixels: np.ndarray, facts: Any) -> Any:
        """Decode those pictures that the system could not read before."""
        return self._decode(pixels, facts)

    def _decode(self, pixels: np.ndarray, known: Any) -> Any:
        return decode_files(
            self.path,
            self._counted_files,
            pixels=pixels,
            spec=self.spec,
            known=known,
            progress=self.progress,
        )

    @functools.cached_property
    def items(self) -> list[tuple[PictureFile, str]]:
        """The file and the name of each item, in the order of the rows."""
        return [(file, name) for file in self._counted_files for name in file.item_names]

    @functools.cached_property
    def _counted_files(self) -> list[PictureFile]:
        """The files with the number of their pages that are items, which the cache keeps."""
        if self.spec.frames == "first":
            return self.files
        paths = [self.path / file.name for file in self.files]
        shape = (len(paths), COUNT_TYPE.itemsize)

        def fill(counts: np.ndarray) -> None:
            found = count_all_pages(paths, self.progress)
            counts[:] = np.array(found, COUNT_TYPE)[:, None].view(np.uint8)

        counts, _ = cached_tensor(
            self._hash_files("pages", []), shape, fill=fill, progress=self.progress
        )
        pages = counts.numpy().view(COUNT_TYPE)[:, 0].tolist()
        require_items(sum(pages), self.path)
        return [
            dataclasses.replace(file, pages=count)
            for file, count in zip(self.files, pages, strict=True)
        ]
