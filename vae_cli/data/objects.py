"""Finding what a picture shows, and drawing it as the images of MNIST are drawn.

LeCun, Bottou, Bengio & Haffner (1998) fitted each digit into a box of 20 pixels, and put its centre
of mass into the middle of an image of 28x28 pixels. Here, the object is what differs from the
border of the picture, for example ink on paper.
"""

import math

import numpy as np
from PIL import Image

SHARE = 20 / 28  # of the shorter side of an image, which the longer side of the object takes
MAX_EDGE = 512  # pixels; a larger photo is made smaller first, which also takes out its noise
INSIDE = 0.5  # opacity of a pixel that decides about the box
LEFT_OUT = 0.002  # share of the ink on each side of the box, which is dust
HALF = 127


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
        ink = Image.new("L", size, 255 if background <= HALF else 0)
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
