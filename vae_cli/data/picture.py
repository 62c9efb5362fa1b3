"""Reading a picture file, and fitting it to the shape of a model's images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vae_cli.data.decoding import decoders_silenced, open_picture, orientation_of

MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's mode for a number of channels
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})
HALF_RANGE = 127  # half of 0..255
STRIP_VALUES = 2**20  # values of 16 bits and more that are converted together


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
    """Read a picture in one of the documented formats as an image of `(C, H, W)`.

    The picture is rotated as its EXIF data say, placed on the background where it is transparent,
    inverted if asked for, and converted to grey or RGB. Then the whole picture is fitted into the
    shape, with the background around it; or, with `crop`, it fills the shape and is cut off equally
    on both sides.

    Raises:
        UnreadPictureError: the file is missing or cannot be read now, or memory is full.
        UsageError: the file is empty, too large, damaged or not a picture.
    """
    with decoders_silenced():
        return decode_picture(path, shape, background=background, invert=invert, crop=crop)


def decode_picture(
    path: Path, shape: Sequence[int], *, background: int, invert: bool = False, crop: bool = False
) -> Picture:
    """The same as `read_picture`, for many threads inside one `decoders_silenced()`."""
    channels, height, width = shape
    with open_picture(path, (2 * width, 2 * height)) as opened:
        image = _upright(opened, background, invert).convert(MODES[channels])
        fit = ImageOps.fit if crop else _fit_inside
        image = fit(image, (width, height), Image.Resampling.LANCZOS)
        canvas = Image.new(image.mode, (width, height), (background,) * channels)
        canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        pixels = torch.from_numpy(np.array(canvas)).view(height, width, channels)
        grey = np.array(ImageOps.grayscale(image))
    return Picture(pixels.permute(2, 0, 1).contiguous(), _border_brightness(grey))


def _fit_inside(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    """The whole picture, as large as it fits into a size."""
    ratio = min(size[0] / image.width, size[1] / image.height)
    width, height = round(image.width * ratio), round(image.height * ratio)
    return image.resize((max(1, width), max(1, height)), method)


def _upright(image: Image.Image, background: int, invert: bool) -> Image.Image:
    """The picture as displayed, in mode L or RGB, on the background where it is transparent."""
    orientation = orientation_of(image)
    if image.mode.startswith(("I", "F")):
        image = _to_eight_bits(image)
    if orientation is not None:
        image = image.transpose(orientation)
    alpha = _alpha(image) if image.has_transparency_data else None
    colour = image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB")
    if invert:
        colour = ImageOps.invert(colour)
    if alpha is None:
        return colour
    backdrop = Image.new(colour.mode, colour.size, (background,) * len(colour.getbands()))
    backdrop.paste(colour, mask=alpha)
    return backdrop


def _alpha(image: Image.Image) -> Image.Image:
    """The opacity of each pixel, without a copy of the colours if that is possible."""
    image = image if "A" in image.getbands() else image.convert("RGBA")
    return image.getchannel("A")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert grey values of 16 or 32 bits, or floats in [0, 1], to 8 bits, strip by strip."""
    top = 1.0 if image.mode == "F" else 65535.0
    grey = Image.new("L", image.size)
    for box in _strips(*image.size):
        values = np.asarray(image.crop(box)).astype(np.float64) / top
        scaled = (np.nan_to_num(values).clip(0, 1) * 255).round().astype(np.uint8)
        grey.paste(Image.fromarray(scaled), box)
    return grey


def _strips(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of at most `STRIP_VALUES` pixels that cover a picture."""
    columns = min(width, STRIP_VALUES)
    rows = STRIP_VALUES // columns
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield left, top, min(left + columns, width), min(top + rows, height)


def _border_brightness(grey: np.ndarray) -> int:
    edges = [grey[0], grey[-1], grey[:, 0], grey[:, -1]]
    return int(np.median(np.concatenate(edges)))
