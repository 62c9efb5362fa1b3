"""Decoding the pictures of a folder in threads, and the facts about them that the cache keeps.

damaged   why the contents of pictures could not be decoded, by row
unread    why the system could not read pictures, by row; it may be able to later
hashes    of the pixels of each picture
values    the smallest and the largest value in opaque pictures, by the value that is white in them
outside   how many pictures have values beyond the range
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vae_cli.data.cache import Unfinished
from vae_cli.data.dataset import Progress, Spec
from vae_cli.data.decoding import UnreadPictureError, decoders_silenced
from vae_cli.data.held_out import hash_to_unit_interval
from vae_cli.data.picture import Picture, decode_picture, measure_values
from vae_cli.data.value_range import Limits, OutsideRangeError, Values, join_values
from vae_cli.errors import UsageError

NO_PIXELS = torch.empty(0, dtype=torch.uint8)
NOTHING: dict[str, Any] = {  # the facts before any picture is decoded; all rows are unread
    **{"damaged": {}, "unread": None, "hashes": []},
    **{"values": {}, "outside": 0},
}
MASKS = {"255": [0, 1]}  # the values of pictures that are masks


def decode_files(
    paths: Sequence[Path], pixels: np.ndarray, spec: Spec, known: Any, progress: Progress
) -> Any:
    """Decode those pictures into their rows that are still unread.

    Args:
        paths: of all pictures.
        pixels: uint8 `(N, C, H, W)`.
        spec: the shape, the background, the cropping and the range.
        known: the facts about the pictures that have been decoded before.
        progress: called with the number of pictures decoded so far and the total.

    Returns:
        The facts about all pictures.

    Raises:
        OutsideRangeError: there is no range, and a value is beyond black or white.
    """
    unread: dict[str, str] = {}
    damaged, hashes = dict(known["damaged"]), list(known["hashes"]) or [0.0] * len(paths)
    rows = range(len(paths)) if known["unread"] is None else list(map(int, known["unread"]))
    found: list[Picture] = []

    def decode(number: int) -> None:
        row = rows[number]
        try:
            picture = decode_picture(
                paths[row],
                spec.shape,
                background=spec.background,
                crop=spec.cropped,
                limits=spec.range,
            )
            pixels[row] = picture.pixels.numpy()
            hashes[row] = hash_to_unit_interval(pixels[row].tobytes())
            found.append(dataclasses.replace(picture, pixels=NO_PIXELS))
        except UnreadPictureError as error:
            unread[str(row)] = str(error)
        except OutsideRangeError:
            raise  # it concerns all pictures
        except UsageError as error:
            damaged[str(row)] = str(error)

    map_in_threads(decode, len(rows), progress)
    facts = {"damaged": damaged, "unread": unread, "hashes": hashes}
    facts |= summarize_values(found, known, spec.range)
    return Unfinished(facts) if unread else facts


def measure_files(paths: Sequence[Path], progress: Progress) -> list[Values]:
    """The values of the pictures that are opaque and can be read.

    Raises:
        OutsideRangeError: a value is no finite number.
    """
    found: list[Values] = []

    def measure(number: int) -> None:
        try:
            values = measure_values(paths[number])
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


def map_in_threads(work: Callable[[int], None], count: int, progress: Progress) -> None:
    """Call `work` with each number below `count`, in as many threads as there are processors."""
    with decoders_silenced(), ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for done, _ in enumerate(pool.map(work, range(count)), 1):
                progress(done, count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
