"""Reading a picture file, and fitting it to the shape of a model's images."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from vae_cli.errors import UsageError

MAX_BYTES = 100 * 2**20  # of a picture file
MAX_PIXELS = 100_000_000  # of a decoded picture: 300 MB of RGB
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's mode for a number of channels
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})
HALF_RANGE = 127  # half of 0..255


@dataclass(frozen=True)
class Picture:
    """A picture in the shape of a model's images.

    Attributes:
        pixels: uint8 `(C, H, W)`.
        border: median brightness of the picture's edge, 0 to 255, before any padding.
    """

    pixels: Tensor
    border: int

    def looks_inverted(self, background: int) -> bool:
        """Whether the edge is closer to the opposite of a data set's background."""
        return abs(self.border - background) > HALF_RANGE


def read_picture(
    path: Path,
    shape: Sequence[int],
    *,
    background: int = 0,
    invert: bool = False,
    crop: bool = False,
) -> Picture:
    """Read any picture that Pillow opens as an image of `(C, H, W)`.

    The picture is rotated as its EXIF data say, placed on the background where it is transparent,
    inverted if asked for, and converted to grey or RGB. Then the whole picture is fitted into the
    shape, with the background around it; or, with `crop`, it fills the shape and is cut off equally
    on both sides.

    Raises:
        UsageError: the file is missing, empty, too large, damaged or not a picture.
    """
    with pillow_warnings_ignored():
        return decode_picture(path, shape, background=background, invert=invert, crop=crop)


@contextmanager
def pillow_warnings_ignored() -> Iterator[None]:
    """Ignore Pillow's warnings about sizes, which we check ourselves, and about repaired damage.

    Python's warning filters are shared by all threads, so this is used around all threads and not
    inside one.
    """
    with warnings.catch_warnings(action="ignore"):
        yield


def decode_picture(
    path: Path, shape: Sequence[int], *, background: int, invert: bool = False, crop: bool = False
) -> Picture:
    """The same as `read_picture`, for many threads inside one `pillow_warnings_ignored()`."""
    channels, height, width = shape
    image = _upright(_open(path, (2 * width, 2 * height)), background, invert)
    image = image.convert(MODES[channels])
    fit = ImageOps.fit if crop else _fit_inside
    image = fit(image, (width, height), Image.Resampling.LANCZOS)
    canvas = Image.new(image.mode, (width, height), (background,) * channels)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    pixels = torch.from_numpy(np.array(canvas)).view(height, width, channels)
    grey = np.array(ImageOps.grayscale(image))
    return Picture(pixels.permute(2, 0, 1).contiguous(), _border_brightness(grey))


def read_header(path: Path) -> tuple[int, int, str] | None:
    """Width and height as displayed, and Pillow's mode; None if the file has no readable header."""
    try:
        with pillow_warnings_ignored(), Image.open(path) as image:
            rotated = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5  # noqa: PLR2004
            width, height = image.size[::-1] if rotated else image.size
            return width, height, image.mode
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None


def _fit_inside(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    """The whole picture, as large as it fits into a size."""
    ratio = min(size[0] / image.width, size[1] / image.height)
    width, height = round(image.width * ratio), round(image.height * ratio)
    return image.resize((max(1, width), max(1, height)), method)


def _open(path: Path, sufficient: tuple[int, int]) -> Image.Image:
    """The first frame of a picture within the limits.

    A JPEG may be decoded at a half, a quarter or an eighth of its size if that is `sufficient`.
    """
    try:
        _require_readable_file(path)
        return _decode(path, sufficient)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except UnidentifiedImageError as error:
        raise UsageError(f"{path} is not a picture that Pillow can read") from error
    except OSError as error:
        reason = error.strerror or "damaged or truncated"
        raise UsageError(f"cannot read {path}: {reason}") from error
    except (ValueError, SyntaxError, EOFError, MemoryError, OverflowError) as error:
        raise UsageError(f"{path} is damaged: Pillow cannot decode it") from error


def _require_readable_file(path: Path) -> None:
    size = path.stat().st_size
    if not path.is_file():
        raise UsageError(f"{path} is not a file")
    if size == 0:
        raise UsageError(f"{path} is empty")
    if size > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES >> 20} MiB: make it smaller first")


def _decode(path: Path, sufficient: tuple[int, int]) -> Image.Image:
    too_large = UsageError(
        f"{path} has more than {MAX_PIXELS // 10**6} million pixels: make it smaller first"
    )
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise too_large
            image.draft(None, sufficient)
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise too_large from error


def _upright(image: Image.Image, background: int, invert: bool) -> Image.Image:
    """The picture as displayed, in mode L or RGB, on the background where it is transparent."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _to_eight_bits(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colour = image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB")
    if invert:
        colour = ImageOps.invert(colour)
    if alpha is None:
        return colour
    backdrop = Image.new(colour.mode, colour.size, (background,) * len(colour.getbands()))
    return Image.composite(colour, backdrop, alpha)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert grey values of 16 or 32 bits, or floats in [0, 1], to 8 bits."""
    values = np.asarray(image).astype(np.float64)
    top = 1.0 if image.mode == "F" else 65535.0
    return Image.fromarray((np.nan_to_num(values / top).clip(0, 1) * 255).round().astype(np.uint8))


def _border_brightness(grey: np.ndarray) -> int:
    edges = [grey[0], grey[-1], grey[:, 0], grey[:, -1]]
    return int(np.median(np.concatenate(edges)))
