"""Sheets: as many captioned items as fit on a screen."""

from collections.abc import Sequence
from typing import NamedTuple

from vae_cli.errors import UsageError
from vae_cli.render.captions import have_room, text_height
from vae_cli.render.grid import SCREEN, Frame, GridLayout, lay_out

MANY = 1000  # items, so that the default scale is not that of a few tiles
MAX_LIST = 10  # items; so few are in a list, one in each row with its text beside it


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
    shape: Sequence[int],
    count: int,
    *,
    page: int = 1,
    group: int = 1,
    lines: int = 2,
    scale: int | None = None,
    gap: int | None = None,
) -> Sheet | None:
    """Divide items among pages that fit on a screen.

    Args:
        shape: of an image, `(C, H, W)`.
        count: the number of items.
        page: counted from 1.
        group: tiles of each item.
        lines: of text below each item.
        scale: edge of an enlarged pixel.
        gap: pixels between tiles.

    Returns:
        None if the tiles are too small for text.

    Raises:
        UsageError: there is no such page.
    """
    tiles = lay_out((MANY, *shape), columns=10 * group, scale=scale, frame=Frame(gap))
    if not have_room(shape[1], shape[2], tiles.scale):
        return None
    is_list = count <= min(MAX_LIST, SCREEN[1] // tiles.row_height)
    per_row, rows = (1, count) if is_list else _capacity(tiles, group, lines)
    pages = -(-count // (per_row * rows))
    if page > pages:
        there_are = "there is 1 page" if pages == 1 else f"there are {pages} pages"
        raise UsageError(f"--page {page}: {there_are}")
    items = range(count)[(page - 1) * per_row * rows : page * per_row * rows]
    needed = -(-len(items) // per_row)
    return Sheet(-(-len(items) // needed) * group, items, pages, is_list)


def _capacity(tiles: GridLayout, group: int, lines: int) -> tuple[int, int]:
    """How many items with text below them fit beside each other, and how many rows of them."""
    width, height = group * tiles.column_width, tiles.row_height + text_height(lines, tiles)
    return max(1, SCREEN[0] // width), max(1, SCREEN[1] // height)
