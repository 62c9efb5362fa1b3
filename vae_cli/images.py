"""What comes out: grids and PNG files; and how a person's picture becomes a model's input."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import ExifTags, Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from torch import Tensor

from vae_cli.errors import UsageError
from vae_cli.files import write_whole

MAX_BYTES = 100 * 2**20  # of a picture's file
MAX_PIXELS = 100_000_000  # of a picture once decoded: 300 MB of RGB
MAX_GRID_PIXELS = 200_000_000  # of a picture we write
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # by channels
GREY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
TILE, SMALLEST = 84, 420  # pixels, of what is shown: a tile's height, a grid's longer side
GAP = 40  # grey value between tiles: visible beside black, quiet beside white


@dataclass(frozen=True)
class Picture:
    """A person's picture in a model's shape.

    Attributes:
        pixels: uint8 `(C, H, W)`.
        border: median brightness of the picture's edge, 0 to 255, before it was padded.
    """

    pixels: Tensor
    border: int

    def looks_inverted(self, background: int) -> bool:
        """Whether the picture's edge is nearer to the opposite of a data set's background."""
        return abs(self.border - background) > 127  # noqa: PLR2004  half of 0..255


def read(
    path: Path,
    shape: Sequence[int],
    *,
    background: int = 0,
    invert: bool = False,
    crop: bool = False,
) -> Picture:
    """Any picture Pillow opens, made into `(C, H, W)`.

    Turned as its EXIF says, put on the background where it is transparent, inverted if asked,
    converted to grey or RGB, and fitted whole into the shape with the background around it, or with
    `crop` made to fill it, what sticks out cut off on both sides.

    Raises:
        UsageError: the file is missing, empty, too large, damaged or not a picture.
    """
    with unwarned():
        return decode(path, shape, background=background, invert=invert, crop=crop)


@contextmanager
def unwarned() -> Iterator[None]:
    """Without Pillow's warnings: about a limit, where ours refuses, or a damage that is mended.

    Python's filters are not a thread's own, so this stands around all threads and not inside one.
    """
    with warnings.catch_warnings(action="ignore"):
        yield


def decode(
    path: Path, shape: Sequence[int], *, background: int, invert: bool = False, crop: bool = False
) -> Picture:
    """What `read` does, for many threads within one `unwarned()`."""
    channels, height, width = shape
    image = _upright(_open(path, (2 * width, 2 * height)), background, invert)
    image = image.convert(MODES[channels])
    fit = ImageOps.fit if crop else _contain
    image = fit(image, (width, height), Image.Resampling.LANCZOS)
    canvas = Image.new(image.mode, (width, height), (background,) * channels)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    pixels = torch.from_numpy(np.array(canvas)).view(height, width, channels)
    edge = np.array(ImageOps.grayscale(image))
    return Picture(pixels.permute(2, 0, 1).contiguous(), _border(edge))


def header(path: Path) -> tuple[int, int, str] | None:
    """Width, height and Pillow's mode of a picture as a person sees it; None if it has none."""
    try:
        with unwarned(), Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5  # noqa: PLR2004
            width, height = image.size[::-1] if turned else image.size
            return width, height, image.mode
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None


def grid(
    images: ArrayLike,
    *,
    columns: int,
    scale: int | None = None,
    labels: Sequence[str] = (),
) -> Image.Image:
    """Tiles side by side, row by row, enlarged by whole pixels and never blurred.

    Args:
        images: `(N, C, H, W)`, pixels in [0, 1], C = 1 or 3.
        columns: tiles a row.
        scale: pixels a pixel; 1 is raw, None makes a tile about 84 pixels high, and higher where
            that leaves the whole grid small.
        labels: one a row, written to its left.

    Raises:
        UsageError: the grid would have more than 200 million pixels.
    """
    pixels = torch.as_tensor(np.asarray(images))
    count, channels, height, width = pixels.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    scale = scale or max(1, TILE // height, SMALLEST // max(rows * height, columns * width))
    gap = max(1, scale // 2)
    tall, wide = height * scale + gap, width * scale + gap
    if rows * tall * columns * wide > MAX_GRID_PIXELS:
        raise UsageError(
            f"a grid of {rows}x{columns} tiles at scale {scale} is too large: ask for fewer tiles"
        )
    canvas = torch.full((rows * tall + gap, columns * wide + gap, channels), GAP, dtype=torch.uint8)
    tiles = (pixels.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    tiles = tiles.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    for index, tile in enumerate(tiles):
        top, left = gap + index // columns * tall, gap + index % columns * wide
        canvas[top : top + tall - gap, left : left + wide - gap] = tile
    picture = Image.fromarray(canvas.squeeze(-1).numpy())
    return _with_labels(picture, labels, tall, gap) if labels else picture


def beside(originals: ArrayLike, reconstructions: ArrayLike) -> np.ndarray:
    """Each original followed by its reconstruction: two `(N, C, H, W)` become `(2N, C, H, W)`."""
    pairs = np.stack([np.asarray(originals), np.asarray(reconstructions)], 1)
    return pairs.reshape(-1, *pairs.shape[2:])


def write_png(image: Image.Image, path: Path) -> None:
    """Write a picture as PNG, whole or not at all.

    Raises:
        VAEError: the folder cannot be written or the disk is full.
    """
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    write_whole(path, buffer.getvalue())


def _contain(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    """The whole picture, as large as it fits into a size."""
    ratio = min(size[0] / image.width, size[1] / image.height)
    width, height = round(image.width * ratio), round(image.height * ratio)
    return image.resize((max(1, width), max(1, height)), method)


def _open(path: Path, enough: tuple[int, int]) -> Image.Image:
    """The decoded picture, its first frame, if it is within the limits.

    A JPEG may come at a half, a quarter or an eighth of its size while that is `enough`.
    """
    try:
        _check_file(path)
        return _decode(path, enough)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except UnidentifiedImageError as error:
        raise UsageError(f"{path} is not a picture that Pillow can read") from error
    except OSError as error:
        reason = error.strerror or "damaged or truncated"
        raise UsageError(f"cannot read {path}: {reason}") from error
    except (ValueError, SyntaxError, EOFError, MemoryError, OverflowError) as error:
        raise UsageError(f"{path} is damaged: Pillow cannot decode it") from error


def _check_file(path: Path) -> None:
    size = path.stat().st_size
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    if size == 0:
        raise UsageError(f"{path} is empty")
    if size > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES >> 20} MiB: make it smaller first")


def _decode(path: Path, enough: tuple[int, int]) -> Image.Image:
    too_large = UsageError(
        f"{path} has more than {MAX_PIXELS // 10**6} million pixels: make it smaller first"
    )
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise too_large
            image.draft(None, enough)
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise too_large from error


def _upright(image: Image.Image, background: int, invert: bool) -> Image.Image:
    """The picture as a person sees it, on the background where it is transparent: L or RGB."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colour = image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB")
    if invert:
        colour = ImageOps.invert(colour)
    if alpha is None:
        return colour
    ground = Image.new(colour.mode, colour.size, (background,) * len(colour.getbands()))
    return Image.composite(colour, ground, alpha)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or floating-point grey in [0, 1], as grey of 8."""
    values = np.asarray(image).astype(np.float64)
    top = 1.0 if image.mode == "F" else 65535.0
    return Image.fromarray((np.nan_to_num(values / top).clip(0, 1) * 255).round().astype(np.uint8))


def _border(grey: np.ndarray) -> int:
    edges = [grey[0], grey[-1], grey[:, 0], grey[:, -1]]
    return int(np.median(np.concatenate(edges)))


def _with_labels(picture: Image.Image, labels: Sequence[str], tall: int, gap: int) -> Image.Image:
    """The grid with a line of text to the left of each row, as large as a row comfortably holds."""
    font = ImageFont.load_default(max(10, tall // 5))
    margin = int(max(font.getlength(label) for label in labels)) + 4 * gap + 8
    canvas = Image.new(picture.mode, (margin + picture.width, picture.height), "black")
    canvas.paste(picture, (margin, 0))
    draw = ImageDraw.Draw(canvas)
    for row, label in enumerate(labels):
        middle = gap + row * tall + (tall - gap) // 2
        draw.text((margin - 2 * gap - 4, middle), label, fill="white", font=font, anchor="rm")
    return canvas
