"""How the values of a column are spelled: the only place where numbers become cells of a table.

A value is written as the cells of its column were read: with their decimals, their unit, their sign
between thousands, their pattern of dates, or as the text of its category.
"""

import datetime
import math
import re
from typing import assert_never

import numpy as np
from numpy.typing import ArrayLike

from vae_cli.data.columns import CellFormat, Column

FLOAT32_DIGITS, CONSTANT_DIGITS, FLOAT64_DIGITS = 7, 12, 17  # significant digits of a number
EPOCH = datetime.datetime(1970, 1, 1)
OLDEST, NEWEST = -62_135_596_800.0, 253_402_300_799.0  # the seconds of years 1 and 9999
ISO = "%Y-%m-%d %H:%M:%S"  # of a date that was no text
DATE_SIGNS, TIME_SIGNS = re.compile("%-?[YymdbBjGVuax]"), re.compile("%-?[HIMSfpTRX]")
FRACTION, FRACTION_DIGITS = "%f", 6  # of a second, in the pattern of a date


def spell(
    column: Column, values: ArrayLike, decimal: str = ".", digits: int | None = None
) -> list[str]:
    """The cells of a column, as they are in its file.

    Args:
        column: what the numbers mean.
        values: `(N,)`, as rows have them; NaN is a missing value.
        decimal: the sign before decimals in the file.
        digits: the significant digits of numbers whose decimals differ; None is as many as tell
            these values apart.

    Example:
        >>> price = Column(name="price", format=CellFormat(decimals=2, prefix="$", min_decimals=2))
        >>> spell(price, [1234.5, -3, float("nan")])
        ['$1234.50', '-$3.00', '']
        >>> born = Column(name="born", kind="date", format=CellFormat(date="%d.%m.%Y"))
        >>> spell(born, [0, 86400])
        ['01.01.1970', '02.01.1970']
    """
    cells = np.asarray(values, np.float64)
    is_missing = np.isnan(cells)
    if not is_missing.any():
        return _spell_known(column, cells, decimal, digits)
    known = iter(_spell_known(column, cells[~is_missing], decimal, digits))
    text = column.format.missing
    return [text if missing else next(known) for missing in is_missing.tolist()]


def _spell_known(column: Column, cells: np.ndarray, decimal: str, digits: int | None) -> list[str]:
    match column.kind:
        case "category" | "constant":
            return [column.categories[code] for code in cells.astype(np.int64).tolist()]
        case "date":
            return _spell_dates(column.format, cells)
        case "integer" | "number":
            return _dress(_format_numbers(column, cells, digits), column.format, decimal)
        case _:
            assert_never(column.kind)


def _format_numbers(column: Column, cells: np.ndarray, digits: int | None) -> list[str]:
    """Numbers without their unit, as in English: `1,234.5`."""
    style = column.format
    decimals = 0 if column.kind == "integer" else style.decimals
    grouped = "," if style.thousands else ""
    if decimals is None:
        count = significant_digits(cells) if digits is None else digits
        texts = [format(value, f"{grouped}.{count}g") for value in cells.tolist()]
        return [_fill_up(text, style.min_decimals) for text in texts]
    texts = [format(value, f"z{grouped}.{decimals}f") for value in cells.tolist()]  # z: no -0.00
    if spare := max(0, decimals - style.min_decimals):
        texts = [(text[:-spare] + text[-spare:].rstrip("0")).rstrip(".") for text in texts]
    return texts


def _fill_up(number: str, decimals: int) -> str:
    """A number with at least so many decimals, unless it has an exponent or is infinite."""
    whole, _, fraction = number.partition(".")
    if len(fraction) >= decimals or not number[-1].isdigit() or "e" in number:
        return number
    return f"{whole}.{fraction.ljust(decimals, '0')}"


def _dress(texts: list[str], style: CellFormat, decimal: str) -> list[str]:
    """English numbers with the signs of the file, and with their unit."""
    if style.thousands not in {"", ","} or decimal != ".":
        signs = str.maketrans({",": style.thousands, ".": decimal})
        texts = [text.translate(signs) for text in texts]
    if style.prefix or style.suffix:
        texts = [_add_unit(text, style) for text in texts]
    return texts


def _add_unit(number: str, style: CellFormat) -> str:
    """A number with its unit, which stands between the minus and the digits: -$5."""
    digits = number.removeprefix("-")
    return f"{number[: len(number) - len(digits)]}{style.prefix}{digits}{style.suffix}"


def _spell_dates(style: CellFormat, seconds: np.ndarray) -> list[str]:
    """Dates by their pattern; each different one is spelled once, because many rows share it."""
    seconds, pattern, digits = seconds.clip(OLDEST, NEWEST), style.date or ISO, 0
    if FRACTION in pattern:
        digits = FRACTION_DIGITS if style.decimals is None else style.decimals
    unique, places = np.unique(seconds.round(digits), return_inverse=True)
    texts = [_spell_date(one, pattern, digits) for one in unique.tolist()]
    return [texts[place] for place in places.tolist()]


def _spell_date(seconds: float, pattern: str, digits: int) -> str:
    moment = EPOCH + datetime.timedelta(seconds=seconds)
    parts = {"%Y": f"{moment.year:04}", FRACTION: f"{moment.microsecond:06}"[:digits]}
    for sign, part in parts.items():  # C writes the year 900 with three digits on some systems
        pattern = pattern.replace(sign, part)
    return moment.strftime(pattern)


def significant_digits(column: np.ndarray) -> int:
    """How many digits tell the finite values of a column apart: 7, or more if its mean is large.

    If there is only one value, such as in a table of one row, so many that it is read back.
    """
    finite = column[np.isfinite(column)]
    if len(finite) == 0:
        return FLOAT32_DIGITS
    largest, spread = float(np.abs(finite).max()), float(finite.max()) - float(finite.min())
    if spread == 0:
        value, exact = float(finite[0]), range(CONSTANT_DIGITS, FLOAT64_DIGITS)
        return next((n for n in exact if float(f"{value:.{n}g}") == value), FLOAT64_DIGITS)
    return min(FLOAT32_DIGITS + int(math.log10(max(largest / spread, 1))), FLOAT64_DIGITS)
