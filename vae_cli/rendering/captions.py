"""Text around a grid of images, so that a picture can be understood without its command.

The font is DejaVu Sans, which comes with matplotlib: it has the letters of most languages, and a
picture looks the same on every computer.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, final

from PIL import Image, ImageDraw, ImageFont

MIN_TILE = 48  # pixels: the shorter edge of a tile that has room for captions
MIN_FONT, MAX_FONT = 10, 16  # pixels
FONT_SHARE = 6  # the height of a tile in heights of its text
LINE_HEIGHT = 1.3  # of the height of the text
PADDING = 8  # pixels between text and tiles, and at the edge
MAX_MARGIN = 220  # pixels of the text beside the tiles
WHITE, GREY = 235, 165  # grey values of the first line of a text, and of the others


@final
@dataclass(frozen=True, kw_only=True)
class Captions:
    """What is written around a grid; a text may have several lines.

    Attributes:
        title: above everything.
        above: one above each column.
        left: one on the left of each row.
        right: one on the right of each row.
        below: one below each group of tiles, row by row.
        group: neighbouring tiles that share a caption below them.
    """

    title: str = ""
    above: Sequence[str] = ()
    left: Sequence[str] = ()
    right: Sequence[str] = ()
    below: Sequence[str] = ()
    group: int = 1


NO_CAPTIONS = Captions()


class Cells(Protocol):
    """The sizes of a grid in pixels, with one gap in each row and column."""

    @property
    def columns(self) -> int:
        """Tiles per row."""

    @property
    def gap(self) -> int:
        """Around each tile."""

    @property
    def row_height(self) -> int:
        """Of a row."""

    @property
    def column_width(self) -> int:
        """Of a column."""


@final
@dataclass(frozen=True, kw_only=True)
class _Margins:
    left: int
    right: int
    title: int
    top: int  # with the title
    below: int  # of each row


def add_captions(picture: Image.Image, cells: Cells, captions: Captions) -> Image.Image:
    """A grid with its captions on black; the tiles are not changed."""
    font = load_font(font_size(cells))
    margins = _measure(captions, font)
    step = cells.row_height + margins.below
    rows = (picture.height - cells.gap) // cells.row_height
    narrow = margins.left + picture.width + margins.right
    title = _shorten_line(captions.title, font, max(narrow, 600) - 2 * PADDING)
    width = max(narrow, int(font.getlength(title)) + 2 * PADDING)
    size = width, margins.top + rows * step + cells.gap
    canvas = Image.new(picture.mode, size, "black")
    for row in range(rows):
        start = row * cells.row_height
        strip = picture.crop((0, start, picture.width, start + cells.row_height + cells.gap))
        canvas.paste(strip, (margins.left, margins.top + row * step))
    _Writer(canvas, font).write(replace(captions, title=title), cells, margins, picture.width)
    return canvas


def font_size(cells: Cells) -> int:
    """The height of the text in pixels, for tiles of a size."""
    return min(MAX_FONT, max(MIN_FONT, (cells.row_height - cells.gap) // FONT_SHARE))


def text_height(lines: int, cells: Cells) -> int:
    """The pixels that some lines below each row of a grid need."""
    return _block_height(lines, font_size(cells))


def have_room(height: int, width: int, scale: int) -> bool:
    """Whether tiles of images of a size are large enough for captions."""
    return min(height, width) * scale >= MIN_TILE


@functools.cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans; matplotlib is found, but not imported, because that takes long."""
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)


def fit_text(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """The lines of a text; a line that is too wide loses its middle, which is marked by `…`."""
    return [_shorten_line(line, font, width) for line in text.split("\n")]


def _shorten_line(line: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in line)
    for kept in range(len(shown) - 1, 0, -1):
        if font.getlength(shown) <= width:
            break
        head = (kept + 1) // 2
        shown = f"{line[:head]}…{line[len(line) - kept + head :]}"
        shown = "".join(char if char.isprintable() else "?" for char in shown)
    return shown


def _block_height(lines: int, size: int) -> int:
    return int(lines * size * LINE_HEIGHT) + PADDING if lines else 0


def _measure(captions: Captions, font: ImageFont.FreeTypeFont) -> _Margins:
    left, right = (_text_width(texts, font) for texts in (captions.left, captions.right))
    size = int(font.size)
    title = _block_height(1, size) if captions.title else 0
    top = title + _block_height(_count_lines(captions.above), size)
    below = _block_height(_count_lines(captions.below), size)
    return _Margins(left=left, right=right, title=title, top=top, below=below)


def _count_lines(texts: Sequence[str]) -> int:
    return max((text.count("\n") + 1 for text in texts), default=0)


def _text_width(texts: Sequence[str], font: ImageFont.FreeTypeFont) -> int:
    lines = [line for text in texts for line in fit_text(text, font, MAX_MARGIN)]
    return int(max(map(font.getlength, lines))) + 2 * PADDING if lines else 0


@final
class _Writer:
    """Writes captions on a canvas that has room for them."""

    def __init__(self, canvas: Image.Image, font: ImageFont.FreeTypeFont) -> None:
        self.canvas = canvas
        self.draw = ImageDraw.Draw(canvas)
        self.font = font
        self.line = font.size * LINE_HEIGHT

    def write(self, captions: Captions, cells: Cells, margins: _Margins, width: int) -> None:
        """Write all captions around a grid of a width."""
        if captions.title:
            self._line(captions.title, (PADDING, margins.title / 2 + 2), "lm", WHITE)
        self._write_above(captions.above, cells, margins)
        middle = cells.gap + (cells.row_height - cells.gap) / 2
        step = cells.row_height + margins.below
        for texts, x, anchor in (
            (captions.left, margins.left - PADDING, "r"),
            (captions.right, margins.left + width + PADDING, "l"),
        ):
            for row, text in enumerate(texts):
                lines = fit_text(text, self.font, MAX_MARGIN)
                self._block(lines, x, margins.top + row * step + middle, anchor)
        self._write_below(captions, cells, margins)

    def _write_above(self, texts: Sequence[str], cells: Cells, margins: _Margins) -> None:
        """One text above each column, or above every second or third one if they are wide."""
        if not texts:
            return
        lines = [line for text in texts for line in text.split("\n")]
        widest = max(map(self.font.getlength, lines)) + PADDING / 2
        every = max(1, -(-int(widest) // cells.column_width))
        place = self._column_place(cells, margins.left)
        for column in range(0, len(texts), every):
            middle = (margins.title + margins.top) / 2
            self._block(texts[column].split("\n"), place(column), middle, "m", other=WHITE)

    def _write_below(self, captions: Captions, cells: Cells, margins: _Margins) -> None:
        group, per_row = captions.group, cells.columns // captions.group
        place = self._column_place(cells, margins.left)
        room = group * cells.column_width - PADDING
        for index, text in enumerate(captions.below):
            row, column = divmod(index, per_row)
            x = place(column * group + (group - 1) / 2)
            bottom = margins.top + (row + 1) * (cells.row_height + margins.below)
            middle = bottom - margins.below / 2 + cells.gap / 2
            self._block(fit_text(text, self.font, room), x, middle, "m")

    @staticmethod
    def _column_place(cells: Cells, left: int) -> Callable[[float], float]:
        """The middle of a column."""
        return lambda column: left + cells.gap / 2 + (column + 0.5) * cells.column_width

    def _block(
        self, lines: Sequence[str], x: float, middle: float, anchor: str, *, other: int = GREY
    ) -> None:
        """Lines around a height; the first is white, and the others have another grey value."""
        first = middle - (len(lines) - 1) * self.line / 2
        for number, line in enumerate(lines):
            grey = other if number else WHITE
            self._line(line, (x, first + number * self.line), f"{anchor}m", grey)

    def _line(self, line: str, place: tuple[float, float], anchor: str, grey: int) -> None:
        fill = grey if self.canvas.mode == "L" else (grey,) * 3
        self.draw.text(place, line, fill=fill, font=self.font, anchor=anchor)
