"""Animations: a sequence of grids as a GIF or WebP file that repeats without end."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from vae_cli.errors import UsageError, mark
from vae_cli.files import Writable, write_bytes
from vae_cli.rendering.captions import NO_CAPTIONS
from vae_cli.rendering.grid import MAX_GRID_PIXELS, Layout, make_grid, measure_grid

FRAME_MILLISECONDS = 100
MAX_EDGE = 16_383  # pixels, the limit of WebP
MAX_COLOURS = 256  # the limit of GIF
KMEANS_THRESHOLD = 1000  # pixels; the palette is final when fewer change their colour


def write_animation(frames: ArrayLike, path: Writable, layout: Layout) -> None:
    """Write an animation, one grid per frame, without metadata.

    WebP stores every pixel exactly. GIF stores grey exactly, and 256 colours per colour frame.

    Args:
        frames: `(F, N, C, H, W)`, pixels in [0, 1].
        path: ends in `.gif` or `.webp`.
        layout: the tiles per row, their size and the gap between them; there are no captions.

    Raises:
        UsageError: all frames together would have more than 200 million pixels.
        VAEError: the folder cannot be written or the disk is full.
    """
    every, plain = np.asarray(frames), replace(layout, captions=NO_CAPTIONS)
    require_size(len(every), every.shape[1:], plain)
    grids = (make_grid(tiles, plain) for tiles in every)
    write_bytes(path, encode_animation(grids, path.suffix.lower()))


def require_size(count: int, shape: Sequence[int], layout: Layout) -> None:
    """Check the size of an animation of `count` frames `(N, C, H, W)` before it is computed.

    Raises:
        UsageError: all frames together would have more than 200 million pixels.
    """
    width, height = measure_grid(shape, layout).size
    if count * width * height > MAX_GRID_PIXELS or max(width, height) > MAX_EDGE:
        raise UsageError(
            f"an animation of {count:,} frames of {width}x{height} pixels is too large: "
            f"ask for fewer of them, or a smaller {mark('scale')}"
        )


def encode_animation(frames: Iterator[Image.Image], suffix: str) -> bytes:
    """The bytes of a GIF or of a lossless WebP that repeats."""
    shown = map(_reduce_colours, frames) if suffix == ".gif" else frames
    buffer = io.BytesIO()
    next(shown).save(
        buffer,
        "GIF" if suffix == ".gif" else "WEBP",
        save_all=True,
        append_images=shown,
        duration=FRAME_MILLISECONDS,
        loop=0,
        lossless=True,
    )
    return buffer.getvalue()


def _reduce_colours(frame: Image.Image) -> Image.Image:
    """A frame for GIF: unchanged if it is grey, otherwise reduced to the 256 best colours."""
    if frame.mode in {"L", "LA"}:
        return frame.convert("L")
    return frame.convert("RGB").quantize(
        MAX_COLOURS, Image.Quantize.MEDIANCUT, kmeans=KMEANS_THRESHOLD
    )
