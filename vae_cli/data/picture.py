"""One picture file as an image of a model: read, scaled, turned upright, and fitted to a shape.

A picture that looks unlike the images of the training set can be drawn as those of MNIST were:
LeCun, Bottou, Bengio & Haffner (1998) fitted each digit into a box of 20 pixels, and put its centre
of mass into the middle of an image of 28x28 pixels. Here, the object is what differs from the
border of the picture, for example ink on paper.
"""

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vae_cli.data.dataset import Spec
from vae_cli.data.picture_files import (
    MAX_SIDE,
    PictureSource,
    decoders_silenced,
    open_page,
    open_picture,
    orientation_of,
    page_numbers,
)
from vae_cli.data.value_range import (
    UNIT,
    Limits,
    OutsideRangeError,
    Values,
    join_values,
    scale_to_unit,
)

SHARE = 20 / 28  # of the shorter side of an image, which the longer side of the object takes
MAX_EDGE = 512  # pixels; a larger photo is made smaller first, which also takes out its noise
INSIDE = 0.5  # opacity of a pixel that decides about the box
LEFT_OUT = 0.002  # share of the ink on each side of the box, which is dust
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # Pillow's mode for a number of channels
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})
BYTE_WHITE = 255
HALF_RANGE = 127  # half of 0..255
STRIP_VALUES = 2**20  # values of 16 bits and more that are converted together


def draw_object(picture: Image.Image, size: tuple[int, int], background: int) -> Image.Image:
    """The object of a picture on a plain background, in the same mode.

    In grey, the object has the greatest contrast to the background, however dark or light it was.
    In colour, it keeps its colours.

    Args:
        picture: in mode `L` or `RGB`.
        size: width and height of the result.
        background: its pixel value, 0 to 255.
    """
    picture = picture.copy()
    picture.thumbnail((MAX_EDGE, MAX_EDGE), Image.Resampling.BOX)
    opacity = measure_opacity(np.asarray(picture.convert("L"), np.float64))
    box = find_box(opacity)
    frame = find_frame(opacity, box, size)
    mask = Image.fromarray((opacity * 255).round().astype(np.uint8)).crop(box)
    mask = _resize_frame(mask, box[:2], frame, size)
    if picture.mode == "L":
        ink = Image.new("L", size, 255 if background <= HALF_RANGE else 0)
    else:
        ink = _resize_frame(picture, (0, 0), frame, size)
    canvas = Image.new(picture.mode, size, (background,) * len(picture.getbands()))
    canvas.paste(ink, mask=mask)
    return canvas


def _resize_frame(
    part: Image.Image, corner: tuple[int, int], frame: tuple[float, ...], size: tuple[int, int]
) -> Image.Image:
    """A frame in a picture, of which there is a part at a corner, in another size."""
    left, top, right, bottom = frame
    x, y = math.floor(left), math.floor(top)
    whole = Image.new(part.mode, (math.ceil(right) - x, math.ceil(bottom) - y))
    whole.paste(part, (corner[0] - x, corner[1] - y))
    inside = (left - x, top - y, right - x, bottom - y)
    return whole.resize(size, Image.Resampling.BICUBIC, inside)


def measure_opacity(grey: np.ndarray) -> np.ndarray:
    """How much of the object each pixel shows, 0 to 1, in a picture `(H, W)` with values 0 to 255.

    The brightness of the background is that of the border. What differs from it by less than half
    of Otsu's threshold (1979) is a shadow or the texture of the paper.
    """
    edges = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    difference = np.abs(grey - np.median(edges))
    threshold = find_threshold(difference)
    inside = difference > threshold
    if not inside.any():
        return np.ones_like(grey)
    full, none = float(np.median(difference[inside])), threshold / 2
    opacity: np.ndarray = ((difference - none) / (full - none)).clip(0, 1)
    return opacity


def find_threshold(values: np.ndarray) -> float:
    """The value that divides others into the two groups with the largest variance between them."""
    counts = np.bincount(values.round().astype(int).ravel(), minlength=256).astype(np.float64)
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * np.arange(len(counts))).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
    return float(np.nan_to_num(below * above * gap**2).argmax())


def find_box(opacity: np.ndarray) -> tuple[int, int, int, int]:
    """The box around the object: left, top, right and bottom, without dust at its edges."""
    bounds = []
    for axis in (0, 1):
        ink = np.where(opacity > INSIDE, opacity, 0).sum(axis).cumsum()
        share = ink / ink[-1]
        start, stop = np.searchsorted(share, [LEFT_OUT, 1 - LEFT_OUT])
        bounds.append((int(start), int(stop) + 1))
    (left, right), (top, bottom) = bounds
    return left, top, right, bottom


def find_frame(
    opacity: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what becomes the image, which may be beyond the picture.

    Args:
        opacity: `(H, W)`, 0 to 1.
        box: around the object.
        size: width and height of the image.
    """
    ink = opacity[box[1] : box[3], box[0] : box[2]]
    scale = max(ink.shape) / (SHARE * min(size))  # pixels of the picture for one of the image
    corners = []
    for axis, room in enumerate(size):
        start, stop, length = box[axis], box[axis + 2], scale * room
        mass = ink.sum(axis)
        middle = start + float((mass * (np.arange(len(mass)) + 0.5)).sum() / mass.sum())
        corners.append(min(max(middle - length / 2, stop - length), start))
    left, top = corners
    return left, top, left + scale * size[0], top + scale * size[1]


@final
@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture in the shape of a model's images.

    Attributes:
        pixels: uint8 `(C, H, W)`.
        border: median brightness of the picture's edge, 0 to 255, before any padding.
        white: the value of white in the file: 255, 65535 for pictures of 16 bits, 1 for floats.
        values: the smallest and the largest value in the file; None if it is partly transparent,
            because the values of pixels that nobody sees mean nothing.
        pages: the number of pages or frames in the file.
    """

    pixels: Tensor
    border: int
    white: float
    values: Values | None
    pages: int = 1

    def looks_inverted(self, background: int) -> bool:
        """Whether the edge is closer to the opposite of a data set's background."""
        return abs(self.border - background) > HALF_RANGE


@final
@dataclass(frozen=True)
class Fitting:
    """How a picture becomes an image of a model.

    Its values are scaled so that the limits are black and white, and those beyond are cut off.
    Without limits, its type of number says what is white. Then the picture is rotated as its EXIF
    data say, placed on the background where it is transparent, inverted if asked for, and converted
    to grey or RGB. At the end the whole picture is fitted into the shape, with the background
    around it; or it is cropped: it fills the shape, and is cut off equally on both sides.

    Attributes:
        shape: `(C, H, W)`.
        background: the pixel value, 0 to 255, around it and behind transparent pixels.
        invert: whether dark and light are exchanged.
        crop: whether it fills the shape and is cut off.
        limits: the values of black and of white; None means those of the type of number.
        find_object: whether only what differs from its border is drawn on the background.
    """

    shape: tuple[int, ...]
    _: KW_ONLY
    background: int = 0
    invert: bool = False
    crop: bool = False
    limits: Limits | None = None
    find_object: bool = False

    @classmethod
    def of(cls, spec: Spec, *, invert: bool = False, find_object: bool = False) -> "Fitting":
        """How pictures become the items of a model or of a data set."""
        background = spec.background
        if find_object and spec.usual_border is not None:  # of a folder, the other is behind pixels
            background = spec.usual_border
        return cls(
            spec.shape,
            background=background,
            invert=invert,
            crop=spec.cropped,
            limits=spec.range,
            find_object=find_object,
        )

    @property
    def sufficient(self) -> tuple[int, int]:
        """Width and height from which a picture is made smaller without a loss."""
        _, height, width = self.shape
        return 2 * width, 2 * height


def read_picture(path: PictureSource, fitting: Fitting) -> Picture:
    """One picture, as `decode_picture` reads it, while Pillow is kept off the terminal."""
    with decoders_silenced():
        return decode_picture(path, fitting)


def decode_picture(path: PictureSource, fitting: Fitting) -> Picture:
    """The first page of a picture, for threads inside one `decoders_silenced()`.

    Raises:
        UnreadPictureError: the file is missing or cannot be read now, or memory is full.
        OutsideRangeError: without limits, a value is beyond black or white; or it is no number.
        UsageError: the file is empty, too large, damaged or not a picture.
    """
    with open_picture(path, fitting.sufficient) as image:
        picture = _fit(image, path, fitting)
        return replace(picture, pages=_count_pages(image))


def decode_pages(path: Path, fitting: Fitting) -> Iterator[Picture]:
    """All pages or frames of a picture, for threads inside one `decoders_silenced()`.

    Raises:
        UnreadPictureError: the file is missing or cannot be read now, or memory is full.
        OutsideRangeError: without limits, a value is beyond black or white; or it is no number.
        UsageError: the file is empty, too large, damaged or not a picture.
    """
    with open_picture(path, fitting.sufficient) as opened:
        for number in page_numbers(opened):
            with open_page(opened, number) as image:
                picture = _fit(image, path, fitting)
            yield picture


def _fit(opened: Image.Image, path: PictureSource, fitting: Fitting) -> Picture:
    (channels, height, width), background = fitting.shape, fitting.background
    values, scaled = _scale(opened, fitting.limits, path)
    image = _upright(scaled, orientation_of(opened), background, fitting.invert)
    image = image.convert(MODES[channels])
    if fitting.find_object:
        image = draw_object(image, (width, height), background)
    else:
        fit = ImageOps.fit if fitting.crop else _fit_inside
        image = fit(image, (width, height), Image.Resampling.LANCZOS)
    canvas = Image.new(image.mode, (width, height), (background,) * channels)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    pixels = np.array(canvas).reshape(height, width, channels).transpose(2, 0, 1)
    border = _border_brightness(np.array(ImageOps.grayscale(image)))
    white = _own_limits(opened.mode)[1]
    return Picture(
        # torch would start threads of its own for a large picture in every thread that decodes
        pixels=torch.from_numpy(pixels.copy()),
        border=border,
        white=white,
        values=values,
    )


def _count_pages(image: Image.Image) -> int:
    """The number of pages; those behind a damaged place are no reason to refuse the first."""
    try:
        return len(page_numbers(image))
    except Exception:
        return 1


def _fit_inside(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
    """The whole picture, as large as it fits into a size."""
    ratio = min(size[0] / image.width, size[1] / image.height)
    width, height = round(image.width * ratio), round(image.height * ratio)
    return image.resize((max(1, width), max(1, height)), method)


def measure_values(path: Path, *, all_pages: bool = False) -> Values | None:
    """The smallest and the largest value in a picture; None if it is partly transparent.

    Raises:
        UnreadPictureError: the file is missing or cannot be read now, or memory is full.
        OutsideRangeError: a value is no finite number.
        UsageError: the file is empty, too large, damaged or not a picture.
    """
    with open_picture(path, (MAX_SIDE, MAX_SIDE)) as opened:
        found = []
        for number in page_numbers(opened) if all_pages else [0]:
            with open_page(opened, number) as image:
                found.append(_values_of(image, path))
        known = [values for values in found if values]
        return join_values(known) if known else None


def _own_limits(mode: str) -> Limits:
    """What black and white are in a picture of a mode."""
    if mode == "F":
        return UNIT
    return (0, 65535) if mode.startswith("I") else (0, BYTE_WHITE)


def _scale(
    image: Image.Image, limits: Limits | None, path: PictureSource
) -> tuple[Values | None, Image.Image]:
    """The values of a picture, and the picture with 8 bits a channel, in which they are scaled."""
    values, own = _values_of(image, path), _own_limits(image.mode)
    if _is_deep(image):
        if values and not limits and not values.lie_in(own):
            wrong = values.highest if values.highest > own[1] else values.lowest
            raise OutsideRangeError(f"{path}: {wrong:.6g} is not in [0, {own[1]:g}]", values)
        return values, _to_eight_bits(image, limits or own)
    if limits is None or image.mode == "1":  # a bit is black or white in every range
        return values, image
    scaled = (255 * scale_to_unit(np.arange(256), limits)).round().astype(int).tolist()
    colour = _to_colour(image)
    colour = colour.point(scaled * len(colour.getbands()))
    if image.has_transparency_data:
        colour.putalpha(_alpha(image))
    return values, colour


def _values_of(image: Image.Image, path: PictureSource) -> Values | None:
    """The smallest and the largest value in a picture; None if it is partly transparent.

    Raises:
        OutsideRangeError: a value is no finite number.
    """
    if not _is_deep(image):
        if image.has_transparency_data:
            return None
        bands = np.array(_to_colour(image).getextrema())
        return Values(int(bands.min()), int(bands.max()))
    strips = (np.asarray(image.crop(box)) for box in _strips(*image.size))
    lowest, highest = zip(*((strip.min(), strip.max()) for strip in strips), strict=True)
    values = Values(float(np.min(lowest)), float(np.max(highest)))
    if not np.isfinite(values).all():
        raise OutsideRangeError(f"{path}: {values.highest} is not a finite number", values)
    return values


def _is_deep(image: Image.Image) -> bool:
    """Whether a picture has more than 8 bits a value; then it is grey."""
    return image.mode.startswith(("I", "F"))


def _upright(
    image: Image.Image, orientation: Image.Transpose | None, background: int, invert: bool
) -> Image.Image:
    """The picture as displayed, in mode L or RGB, on the background where it is transparent."""
    if orientation is not None:
        image = image.transpose(orientation)
    alpha = _alpha(image) if image.has_transparency_data else None
    colour = _to_colour(image)
    if invert:
        colour = ImageOps.invert(colour)
    if alpha is None:
        return colour
    backdrop = Image.new(colour.mode, colour.size, (background,) * len(colour.getbands()))
    backdrop.paste(colour, mask=alpha)
    return backdrop


def _to_colour(image: Image.Image) -> Image.Image:
    """A picture of 8 bits a channel in mode L or RGB, without its opacity."""
    mode = "L" if image.mode in {"1", "L", "LA"} else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _alpha(image: Image.Image) -> Image.Image:
    """The opacity of each pixel, without a copy of the colours if that is possible."""
    image = image if "A" in image.getbands() else image.convert("RGBA")
    return image.getchannel("A")


def _to_eight_bits(image: Image.Image, limits: Limits) -> Image.Image:
    """Convert grey values of 16 or 32 bits, or floats, to 8 bits, strip by strip."""
    grey = Image.new("L", image.size)
    for box in _strips(*image.size):
        scaled = scale_to_unit(np.asarray(image.crop(box)), limits)
        grey.paste(Image.fromarray((scaled * 255).round().astype(np.uint8)), box)
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
