"""What moves: grids one after another as a GIF or a WebP, in a loop without end."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from vae_cli import images
from vae_cli.errors import UsageError
from vae_cli.files import write_whole

SUFFIXES = (".gif", ".webp")
DURATION = 100  # milliseconds a frame
LONGEST_EDGE = 16_383  # pixels, of a WebP
COLOURS = 256
SETTLED = 1000  # pixels that still change their colour when the choice of a palette ends


def there_and_back(frames: np.ndarray) -> np.ndarray:
    """Frames `(F, ...)`, then all but both ends in reverse, so that the last meets the first."""
    return np.concatenate([frames, frames[-2:0:-1]])


def write(frames: ArrayLike, path: Path, *, columns: int, scale: int | None = None) -> None:
    """Write a grid a frame, whole or not at all; no metadata.

    WebP keeps every pixel. GIF keeps every grey; of a colour frame it keeps 256 colours.

    Args:
        frames: `(F, N, C, H, W)`, pixels in [0, 1].
        path: ends in `.gif` or `.webp`.
        columns: tiles a row.
        scale: pixels a pixel, as `images.grid` has it.

    Raises:
        UsageError: all frames together would have more than 200 million pixels.
        VAEError: the folder cannot be written or the disk is full.
    """
    every = np.asarray(frames)
    check(len(every), every.shape[1:], columns=columns, scale=scale)
    grids = (images.grid(tiles, columns=columns, scale=scale) for tiles in every)
    write_whole(path, encoded(grids, path.suffix.lower()))


def check(count: int, shape: Sequence[int], *, columns: int, scale: int | None = None) -> None:
    """Refuse early an animation of `count` frames `(N, C, H, W)` that nobody could look at.

    Raises:
        UsageError: all of them together would have more than 200 million pixels.
    """
    width, height = images.grid(np.zeros(shape), columns=columns, scale=scale).size
    if count * width * height > images.MAX_GRID_PIXELS or max(width, height) > LONGEST_EDGE:
        raise UsageError(
            f"an animation of {count:,} frames of {width}x{height} pixels is too large: "
            "ask for fewer of them, or a smaller --scale"
        )


def encoded(frames: Iterator[Image.Image], suffix: str) -> bytes:
    """The bytes of a GIF or of a lossless WebP that loops."""
    shown = map(_palette, frames) if suffix == ".gif" else frames
    buffer = io.BytesIO()
    next(shown).save(
        buffer,
        "GIF" if suffix == ".gif" else "WEBP",
        save_all=True,
        append_images=shown,
        duration=DURATION,
        loop=0,
        lossless=True,
    )
    return buffer.getvalue()


def _palette(frame: Image.Image) -> Image.Image:
    """A frame as GIF can hold it: every grey, or the 256 colours that suit it best."""
    if frame.mode in {"L", "LA"}:
        return frame.convert("L")
    return frame.convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT, kmeans=SETTLED)
