"""Grids of images, as PNG files."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from vae_cli.errors import UsageError
from vae_cli.files import write_bytes

MAX_GRID_PIXELS = 200_000_000
TILE_HEIGHT, MIN_LONGER_SIDE = 84, 420  # pixels: of a tile, and of a whole grid
GAP_GREY = 40  # grey value between tiles: visible next to black, unobtrusive next to white


class GridLayout(NamedTuple):
    """The sizes of a grid.

    Attributes:
        columns: tiles per row.
        scale: edge of an enlarged pixel.
        gap: pixels around each tile.
        row_height: pixels of a row, with one gap.
        size: width and height of the whole grid in pixels, without labels.
    """

    columns: int
    scale: int
    gap: int
    row_height: int
    size: tuple[int, int]


Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def make_grid(
    images: ArrayLike,
    *,
    columns: int,
    scale: int | None = None,
    labels: Sequence[str] = (),
) -> Image.Image:
    """Place images side by side, row by row, enlarged by whole pixels without blurring.

    Args:
        images: `(N, C, H, W)`, pixels in [0, 1], C = 1 or 3.
        columns: tiles per row.
        scale: edge of an enlarged pixel; None makes a tile about 84 pixels high, or higher if the
            whole grid would be small.
        labels: one per row, written on its left.

    Raises:
        UsageError: the grid would have more than 200 million pixels.
    """
    layout = lay_out(np.shape(images), columns=columns, scale=scale)
    tiles = to_pixels(images).repeat(layout.scale, 1).repeat(layout.scale, 2)
    picture = to_picture(tile(tiles, layout.columns, layout.gap))
    return _add_labels(picture, labels, layout.row_height, layout.gap) if labels else picture


def lay_out(shape: Sequence[int], *, columns: int, scale: int | None = None) -> GridLayout:
    """The sizes of a grid of images `(N, C, H, W)`, before they are computed.

    Raises:
        UsageError: it would have more than 200 million pixels.
    """
    count, _, height, width = shape
    columns = min(columns, count)
    rows = -(-count // columns)
    scale = scale or max(
        1, TILE_HEIGHT // height, MIN_LONGER_SIDE // max(rows * height, columns * width)
    )
    gap = max(1, scale // 2)
    row_height, column_width = height * scale + gap, width * scale + gap
    if rows * row_height * columns * column_width > MAX_GRID_PIXELS:
        raise UsageError(
            f"a grid of {rows}x{columns} tiles at scale {scale} is too large: ask for fewer tiles"
        )
    size = columns * column_width + gap, rows * row_height + gap
    return GridLayout(columns, scale, gap, row_height, size)


def to_pixels(images: ArrayLike) -> Pixels:
    """Images `(..., C, H, W)` with pixels in [0, 1] as rounded bytes `(..., H, W, C)`."""
    values = np.asarray(images, np.float32).clip(0, 1)
    values *= np.float32(255)  # in place, because a grid may have hundreds of megabytes
    return np.moveaxis(values.round(out=values).astype(np.uint8), -3, -1)


def tile(tiles: Pixels, columns: int, gap: int) -> Pixels:
    """Place tiles `(N, H, W, C)` side by side, row by row, with grey gaps around each."""
    count, height, width, channels = tiles.shape
    rows, row_height, column_width = -(-count // columns), height + gap, width + gap
    size = (rows * row_height + gap, columns * column_width + gap, channels)
    canvas = np.full(size, GAP_GREY, np.uint8)
    for index, pixels in enumerate(tiles):
        top, left = gap + index // columns * row_height, gap + index % columns * column_width
        canvas[top : top + height, left : left + width] = pixels
    return canvas


def to_picture(pixels: Pixels) -> Image.Image:
    """Bytes `(H, W, C)` as a Pillow image."""
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def interleave(originals: ArrayLike, reconstructions: ArrayLike) -> np.ndarray:
    """Each original followed by its reconstruction: two `(N, C, H, W)` become `(2N, C, H, W)`."""
    pairs = np.stack([np.asarray(originals), np.asarray(reconstructions)], 1)
    return pairs.reshape(-1, *pairs.shape[2:])


def write_png(image: Image.Image, path: Path) -> None:
    """Write a picture as PNG.

    Raises:
        VAEError: the folder cannot be written or the disk is full.
    """
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    write_bytes(path, buffer.getvalue())


def _add_labels(
    picture: Image.Image, labels: Sequence[str], row_height: int, gap: int
) -> Image.Image:
    """Write a line of text on the left of each row, as large as the row allows."""
    font = ImageFont.load_default(max(10, row_height // 5))
    margin = int(max(font.getlength(label) for label in labels)) + 4 * gap + 8
    canvas = Image.new(picture.mode, (margin + picture.width, picture.height), "black")
    canvas.paste(picture, (margin, 0))
    text = ImageDraw.Draw(canvas)
    for row, label in enumerate(labels):
        middle = gap + row * row_height + (row_height - gap) // 2
        text.text((margin - 2 * gap - 4, middle), label, fill="white", font=font, anchor="rm")
    return canvas
