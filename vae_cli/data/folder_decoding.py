"""Decoding the pictures of a folder in threads, and the facts about them that the cache keeps.

damaged   why the contents of pictures could not be decoded, by row
unread    why the system could not read pictures, by row; it may be able to later
hashes    of the pixels of each picture
values    the smallest and the largest value in opaque pictures, by the value that is white in them
outside   how many pictures have values beyond the range
pages     how many pictures have more than one page, and how many pages of them are left out
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vae_cli.data.cache import Unfinished
from vae_cli.data.dataset import Frames, Progress, Spec
from vae_cli.data.decoding import UnreadPictureError, count_pages, decoders_silenced
from vae_cli.data.held_out import hash_to_unit_interval
from vae_cli.data.picture import Fitting, Picture, decode_pages, decode_picture, measure_values
from vae_cli.data.scan import PictureFile
from vae_cli.data.value_range import Limits, OutsideRangeError, Values, join_values
from vae_cli.errors import UsageError

NO_PIXELS = torch.empty(0, dtype=torch.uint8)
NOTHING: dict[str, Any] = {  # the facts before any picture is decoded; all rows are unread
    **{"damaged": {}, "unread": None, "hashes": []},
    **{"values": {}, "outside": 0, "pages": [0, 0]},
}
MASKS = {"255": [0, 1]}  # the values of pictures that are masks


def decode_files(
    folder: Path,
    files: Sequence[PictureFile],
    pixels: np.ndarray,
    spec: Spec,
    known: Any,
    progress: Progress,
) -> Any:
    """Decode those pictures into their rows that are still unread.

    Args:
        folder: where the files are.
        files: all of them; each has one row, or one for each of its pages.
        pixels: uint8 `(N, C, H, W)`.
        spec: the shape, the background, the cropping, the range and the frames.
        known: the facts about the pictures that have been decoded before.
        progress: called with the number of files decoded so far and the total.

    Returns:
        The facts about all pictures.

    Raises:
        OutsideRangeError: there is no range, and a value is beyond black or white.
    """
    unread: dict[str, str] = {}
    damaged, hashes = dict(known["damaged"]), list(known["hashes"]) or [0.0] * len(pixels)
    ends = itertools.accumulate(file.pages for file in files)
    rows = [range(end - file.pages, end) for file, end in zip(files, ends, strict=True)]
    todo = [
        number
        for number in range(len(files))
        if known["unread"] is None or any(str(row) in known["unread"] for row in rows[number])
    ]
    found: list[Picture] = []

    def decode(place: int) -> None:
        file, left = files[todo[place]], list(rows[todo[place]])
        failures = damaged
        try:
            for picture in _decode_items(folder / file.name, spec):
                if not left:
                    break
                row = left.pop(0)
                pixels[row] = picture.pixels.numpy()
                hashes[row] = hash_to_unit_interval(pixels[row].tobytes())
                found.append(dataclasses.replace(picture, pixels=NO_PIXELS))
            reason = f"{folder / file.name} has fewer pages than it had"
        except OutsideRangeError:
            raise  # it concerns all pictures
        except UsageError as error:
            failures = unread if isinstance(error, UnreadPictureError) else damaged
            reason = str(error)
        failures.update({str(row): reason for row in left})

    map_in_threads(decode, len(todo), progress)
    facts = {"damaged": damaged, "unread": unread, "hashes": hashes}
    facts |= summarize_values(found, known, spec.range) | summarize_pages(found, known, spec)
    return Unfinished(facts) if unread else facts


def _decode_items(path: Path, spec: Spec) -> Iterator[Picture]:
    """The first page of a picture, or all of them."""
    if spec.frames == "all":
        yield from decode_pages(path, Fitting.of(spec))
    else:
        yield decode_picture(path, Fitting.of(spec))


def count_all_pages(paths: Sequence[Path], progress: Progress) -> list[int]:
    """The number of pages of each picture."""
    counts = [1] * len(paths)

    def count(number: int) -> None:
        counts[number] = count_pages(paths[number])

    map_in_threads(count, len(paths), progress)
    return counts


def measure_files(paths: Sequence[Path], frames: Frames, progress: Progress) -> list[Values]:
    """The values of the pictures that are opaque and can be read.

    Raises:
        OutsideRangeError: a value is no finite number.
    """
    found: list[Values] = []

    def measure(number: int) -> None:
        try:
            values = measure_values(paths[number], all_pages=frames == "all")
        except OutsideRangeError:
            raise
        except UsageError:
            return  # it cannot be read, and is left out when it is decoded
        found.extend([values] if values else [])

    map_in_threads(measure, len(paths), progress)
    return found


def summarize_values(
    pictures: Sequence[Picture], known: Any, limits: Limits | None
) -> dict[str, Any]:
    """The facts `values` and `outside` of `_decode`, together with those that are known."""
    values = {white: Values(*pair) for white, pair in known["values"].items()}
    outside = known["outside"]
    for picture in pictures:
        if picture.values:
            white = f"{picture.white:g}"
            values[white] = join_values([picture.values, values.get(white, picture.values)])
            outside += limits is not None and not picture.values.lie_in(limits)
    return {"values": {white: list(pair) for white, pair in values.items()}, "outside": outside}


def summarize_pages(pictures: Sequence[Picture], known: Any, spec: Spec) -> dict[str, list[int]]:
    """The fact `pages` of `decode_files`, together with what is known."""
    left_out = [one.pages - 1 for one in pictures if one.pages > 1 and spec.frames == "first"]
    files, pages = known["pages"]
    return {"pages": [files + len(left_out), pages + sum(left_out)]}


def map_in_threads(work: Callable[[int], None], count: int, progress: Progress) -> None:
    """Call `work` with each number below `count`, in as many threads as there are processors."""
    with decoders_silenced(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, _ in enumerate(pool.map(work, range(count)), 1):
                progress(done, count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
