"""Grids of images, as PNG or JPEG files.

A sheet is a grid of as many captioned items as fit on a screen.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from vae_cli.errors import UsageError, mark
from vae_cli.files import Writable, write_bytes
from vae_cli.rendering.captions import NO_CAPTIONS, Captions, add_captions, have_room, text_height

MAX_GRID_PIXELS = 200_000_000
TILE_HEIGHT, MIN_LONGER_SIDE = 84, 420  # pixels: of a tile, and of a whole grid
MAX_TILE_WIDTH = 840  # pixels, of a tile that is enlarged
SCREEN = (1800, 1000)  # pixels: a picture with captions is not larger if it can be smaller
MAX_JPEG_EDGE = 65_500  # pixels, the limit of the format
JPEG_QUALITY = 95
GAP_GREY = 40  # grey value between tiles: visible next to black, unobtrusive next to white
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
MANY = 1000  # items, so that the default scale is not that of a few tiles
SHEET_LINES = 2  # of text below each item of a sheet
MAX_LIST = 10  # items; so few are in a list, one in each row with its text beside it


@final
@dataclass(frozen=True, kw_only=True)
class Layout:
    """How tiles are laid out in a picture; the rows of a table have no layout.

    Attributes:
        columns: tiles per row, unless what is shown decides about it.
        scale: edge of an enlarged pixel; None makes a tile about 84 pixels high, lower if it would
            be wide, or higher if the whole grid would be small.
        gap: pixels around each tile; None is half the edge of an enlarged pixel.
        captions: what is written around the tiles, unless they are too small for it.
    """

    columns: int = 8
    scale: int | None = None
    gap: int | None = None
    captions: Captions = NO_CAPTIONS


@final
@dataclass(frozen=True, kw_only=True)
class GridSizes:
    """The sizes of a grid.

    Attributes:
        columns: tiles per row.
        scale: edge of an enlarged pixel.
        gap: pixels around each tile.
        row_height: pixels of a row, with one gap.
        column_width: pixels of a column, with one gap.
        size: width and height of the whole grid in pixels, without captions.
    """

    columns: int
    scale: int
    gap: int
    row_height: int
    column_width: int
    size: tuple[int, int]


def make_grid(images: ArrayLike, layout: Layout, labels: Sequence[str] = ()) -> Image.Image:
    """Place images side by side, row by row, enlarged by whole pixels without blurring.

    Args:
        images: `(N, C, H, W)`, pixels in [0, 1], C = 1 or 3.
        layout: the tiles per row, their size, the gap between them and the captions around them.
        labels: one per row, written on its left whatever the size of the tiles, instead of the
            captions.

    Raises:
        UsageError: the grid would have more than 200 million pixels.

    Example:
        >>> make_grid(np.zeros((6, 1, 28, 28)), Layout(columns=3, scale=2, gap=1)).size
        (172, 115)
    """
    sizes = measure_grid(np.shape(images), layout)
    tiles = to_pixels(images).repeat(sizes.scale, 1).repeat(sizes.scale, 2)
    picture = to_picture(tile(tiles, sizes.columns, sizes.gap))
    captions = layout.captions
    height, width = np.shape(images)[2:]
    if not have_room(height, width, sizes.scale):
        captions = NO_CAPTIONS
    if labels:
        captions = Captions(left=labels)
    return picture if captions == NO_CAPTIONS else add_captions(picture, sizes, captions)


def measure_grid(shape: Sequence[int], layout: Layout) -> GridSizes:
    """The sizes of a grid of images `(N, C, H, W)`, before they are computed.

    Without a scale, a grid with captions is made small enough for a screen, as long as its tiles
    have room for captions.

    Raises:
        UsageError: it would have more than 200 million pixels.
    """
    count, _, height, width = shape
    columns, scale = min(layout.columns, count), layout.scale
    rows = -(-count // columns)
    if scale is None:
        scale = _choose_scale(rows * height, columns * width, height, width)
        while layout.captions != NO_CAPTIONS and have_room(height, width, scale - 1):
            if columns * width * scale <= SCREEN[0] and rows * height * scale <= SCREEN[1]:
                break
            scale -= 1
    gap = max(1, scale // 2) if layout.gap is None else layout.gap
    row_height, column_width = height * scale + gap, width * scale + gap
    if rows * row_height * columns * column_width > MAX_GRID_PIXELS:
        raise UsageError(
            f"a grid of {rows}x{columns} tiles at scale {scale} is too large: ask for fewer tiles"
        )
    return GridSizes(
        columns=columns,
        scale=scale,
        gap=gap,
        row_height=row_height,
        column_width=column_width,
        size=(columns * column_width + gap, rows * row_height + gap),
    )


def _choose_scale(height: int, width: int, tile_height: int, tile_width: int) -> int:
    """The default scale for the height and width of all tiles together, and those of one."""
    for_tile = min(TILE_HEIGHT // tile_height, MAX_TILE_WIDTH // tile_width)
    return max(1, for_tile, MIN_LONGER_SIDE // max(height, width))


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


def write_picture(image: Image.Image, path: Writable) -> None:
    """Write a picture as PNG, or as JPEG if the name ends in `.jpg` or `.jpeg`.

    Raises:
        UsageError: the picture is too large for JPEG.
        VAEError: the folder cannot be written or the disk is full.
    """
    buffer = io.BytesIO()
    if path.suffix.lower() in {".jpg", ".jpeg"}:
        if max(image.size) > MAX_JPEG_EDGE:
            raise UsageError(f"{path}: {image.width}x{image.height} pixels are too many for JPEG")
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        image.save(buffer, "PNG", optimize=True)
    write_bytes(path, buffer.getvalue())


class Sheet(NamedTuple):
    """One page of items.

    Attributes:
        columns: tiles per row.
        items: the places of the items that are on the page.
        pages: of all items together.
        is_list: whether there is one item in each row, with its text on the left.
    """

    columns: int
    items: range
    pages: int
    is_list: bool


def plan_sheet(
    shape: Sequence[int], count: int, layout: Layout, *, page: int = 1, group: int = 1
) -> Sheet | None:
    """Divide items among pages that fit on a screen.

    Args:
        shape: of an image, `(C, H, W)`.
        count: the number of items.
        layout: the size of the tiles, and the gap between them.
        page: counted from 1.
        group: tiles of each item.

    Returns:
        None if the tiles are too small for text.

    Raises:
        UsageError: there is no such page.
    """
    plain = Layout(columns=10 * group, scale=layout.scale, gap=layout.gap)
    tiles = measure_grid((MANY, *shape), plain)
    if not have_room(shape[1], shape[2], tiles.scale):
        return None
    is_list = count <= min(MAX_LIST, SCREEN[1] // tiles.row_height)
    per_row, rows = (1, count) if is_list else _capacity(tiles, group)
    pages = -(-count // (per_row * rows))
    if page > pages:
        there_are = "there is 1 page" if pages == 1 else f"there are {pages} pages"
        raise UsageError(f"{mark(f'page={page}')}: {there_are}")
    items = range(count)[(page - 1) * per_row * rows : page * per_row * rows]
    needed = -(-len(items) // per_row)
    return Sheet(-(-len(items) // needed) * group, items, pages, is_list)


def _capacity(tiles: GridSizes, group: int) -> tuple[int, int]:
    """How many items with text below them fit beside each other, and how many rows of them."""
    width, height = group * tiles.column_width, tiles.row_height + text_height(SHEET_LINES, tiles)
    return max(1, SCREEN[0] // width), max(1, SCREEN[1] // height)
