"""The range of the values of images: which value is black, and which one is white.

Without a range, the type of number decides: bytes are 0 to 255, pictures of 16 bits 0 to 65535, and
floats 0 to 1. Nothing here imports NumPy, so that a typo is answered fast.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from vae_cli.errors import UsageError, mark

if TYPE_CHECKING:
    import numpy as np

Limits = tuple[float, float]  # the values of black and of white
Range = Limits | Literal["data"] | None  # data: measured on the training set; None: by the type

MEASURED = "data"  # the range that stands for the smallest and the largest value in the data
UNIT: Limits = (0.0, 1.0)
COMMON: tuple[Limits, ...] = ((0, 1), (-1, 1), (0, 255))
WHOLE: tuple[Limits, ...] = ((-128, 127), (0, 1023), (0, 4095), (0, 16383), (0, 65535))
FILLED = 4  # values that span less than this part of a range do not suggest it
DARK = 16  # values below this part of white are mentioned; few photographs are so dark
DEEP_DARK = 4  # the same of 16 bits, which often hold 10, 12 or 14
MAX_BYTE = 255
MAX_PLACES = 300  # of a float
SPAN_DIGITS = 5  # decimal places of a measured range after the first digit of its length
MAX_WHOLE = 2**53  # up to which a float has every whole number
_PATTERN = re.compile(r"\s*([^\s:]+)\s*:\s*([^\s:]+)\s*")


class Values(NamedTuple):
    """The smallest and the largest value of one item or of many, before any range is applied."""

    lowest: float
    highest: float

    def lie_in(self, limits: Limits) -> bool:
        """Whether none is below black or above white; a value that is no number is nowhere."""
        return limits[0] <= self.lowest and self.highest <= limits[1]


class OutsideRangeError(UsageError):
    """A value is below black, above white, or no number.

    Attributes:
        values: the smallest and the largest one beside it.
    """

    def __init__(self, message: str, values: Values) -> None:
        super().__init__(message)
        self.values = values

    def with_remedy(self) -> UsageError:
        """The same error, for somebody who can choose the range."""
        remedy = suggest_range(self.values)
        advice = f": try {mark(f'data.range={remedy}')}" if remedy else ""
        return UsageError(f"{self.message}{advice}")


def join_values(found: Iterable[Values]) -> Values:
    """The smallest and the largest of several values, at least one; NaN if one of them is."""
    numbers = [number for values in found for number in values]
    if any(map(math.isnan, numbers)):
        return Values(math.nan, math.nan)
    return Values(min(numbers), max(numbers))


def require_span(found: Sequence[Values], source: object) -> Limits:
    """The range that is measured: the smallest and the largest of several values, rounded outward.

    Raises:
        UsageError: there are none, they are all equal, or no float has their distance.
    """
    values = join_values(found) if found else Values(0, 0)
    if values.lowest == values.highest:
        what = f"all values are {values.lowest:g}" if found else "no picture is opaque"
        raise UsageError(
            f"{source}: {what}, so {mark('data.range=data')} finds no range: "
            f"write {mark('data.range=LOW:HIGH')}"
        )
    if not math.isfinite(values.highest - values.lowest):
        raise UsageError(
            f"{source}: values from {values.lowest:g} to {values.highest:g} are too far apart for "
            f"{mark('data.range=data')}"
        )
    places = SPAN_DIGITS - math.floor(math.log10(values.highest - values.lowest))
    unit = 10.0 ** min(places, MAX_PLACES)
    low = min(math.floor(values.lowest * unit) / unit, values.lowest)
    high = max(math.ceil(values.highest * unit) / unit, values.highest)
    return (low, high) if math.isfinite(high - low) else values


def is_range(text: str) -> bool:
    """Whether a text is a range `low:high`, `data`, or empty."""
    return text in {"", MEASURED} or parse_limits(text) is not None


def parse_limits(text: str) -> Limits | None:
    """The two finite numbers of `low:high`, in rising order; None if the text is no range."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    try:
        low, high = float(match[1]), float(match[2])
    except ValueError:
        return None
    return (low, high) if low < high and math.isfinite(high - low) else None


def parse_range(text: str) -> Range:
    """The range of a setting: `low:high`, `data`, or an empty text."""
    return "data" if text == MEASURED else parse_limits(text)


def format_limits(limits: Limits) -> str:
    """`low:high` with all digits, as `parse_limits` reads it."""
    return ":".join(_format(value) for value in limits)


def suggest_range(values: Values) -> str:
    """A range for values: a common one that they fill, their own if they are whole, or `data`.

    It is empty if they have no range, because one is not a finite number, or because all are equal.
    """
    span = values.highest - values.lowest
    if not (math.isfinite(span) and span > 0):
        return ""
    are_whole = all(float(value).is_integer() for value in values)
    for limits in COMMON + (WHOLE if are_whole else ()):
        if values.lie_in(limits) and span * FILLED > limits[1] - limits[0]:
            return format_limits(limits)
    return format_limits(values) if are_whole else MEASURED


def explain_darkness(values: Values, white: float) -> str:
    """A hint if the values are a small part of what black and white are; empty if they are not."""
    part = DEEP_DARK if white > MAX_BYTE else DARK
    if not 0 < values.highest * part < white:
        return ""
    return f"the brightest value is {_format(values.highest)} of {_format(white)}"


def advise_on_darkness(values: Values, white: float) -> str:
    """The same hint for somebody who can choose the range."""
    hint, remedy = explain_darkness(values, white), suggest_range(values)
    return f"{hint}: {mark(f'data.range={remedy}')} makes it white" if hint and remedy else hint


def explain_masks(source: object) -> str:
    """A sentence about whole numbers that are only 0 and 1."""
    return f"{source}: all values are 0 and 1, so 1 is taken as white: {mark('data.range=0:1')}"


def explain_outside(outside: int, count: int, limits: Limits, source: object) -> str:
    """A sentence that counts the items with values beyond the limits."""
    return (
        f"{source}: {outside:,} of {count:,} items have values beyond {format_limits(limits)}, "
        "which become black or white"
    )


def scale_to_unit(values: "np.ndarray", limits: Limits) -> "np.ndarray":
    """Numbers of any type and shape as float64 in [0, 1]: 0 for black and below, 1 for white."""
    low, high = limits
    scaled: np.ndarray = ((values.astype("float64") - low) / (high - low)).clip(0, 1)
    return scaled


def _format(value: float) -> str:
    """A number with all its digits, and without a point if it is whole."""
    value = float(value)
    return str(int(value)) if value.is_integer() and abs(value) < MAX_WHOLE else repr(value)
