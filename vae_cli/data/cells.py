"""The cells of a table as numbers, with a decimal point or a decimal comma."""

import csv
import math
import shlex
from collections.abc import Sequence
from typing import final

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})  # in lower case


@final
class CellParser:
    """Reads numbers, and finds out whether the decimal sign of a table is a point or a comma.

    The first number with a sign decides for the whole table, because `1.500` after `2,5` would be
    one and a half to one reader and fifteen hundred to another.

    Args:
        delimiter: of the cells. Between commas, no comma can be a decimal sign: `1,500` in quotes
            may be fifteen hundred.
    """

    def __init__(self, delimiter: str) -> None:
        self.decimal = "." if delimiter == "," else ""

    def parse_row(self, cells: Sequence[str]) -> list[float] | None:
        """The numbers of a row at once; None if one of its cells needs `parse`."""
        text = "\n".join(cells)
        if "_" in text or (self.decimal == "," and "." in text):
            return None
        if self.decimal == ",":
            cells = [cell.replace(",", ".") for cell in cells]
        try:
            values = list(map(float, cells))
        except ValueError:
            return None
        if not math.isfinite(sum(values)):
            return None
        if not self.decimal and "." in text:
            self.decimal = "."
        return values

    def parse(self, cell: str) -> float:
        """The number in a cell; NaN if its value is missing.

        Raises:
            ValueError: it is not a finite number; the message says what it is.
        """
        text = cell.strip()
        if is_missing(text):
            return math.nan
        sign = "," if "," in text else "." if "." in text else ""
        try:  # Python also accepts `1_000`, which is not a number in a table
            value = float(text.replace(",", ".")) if "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (sign == "," and self.decimal == "."):
            raise ValueError(f"{text!r} is not a number")
        if sign and self.decimal not in {"", sign}:
            raise ValueError(f"{text!r} is not a number, because the decimal sign is a comma")
        self.decimal = self.decimal or sign
        return value


def is_missing(cell: str) -> bool:
    """Whether a cell is empty, or says that there is no value."""
    return cell.strip().lower() in MISSING


def is_number(cell: str, delimiter: str) -> bool:
    """Whether a cell holds a finite number."""
    try:
        return math.isfinite(CellParser(delimiter).parse(cell))
    except ValueError:
        return False


def split_names(text: str) -> list[str]:
    """Names that are separated by commas; a name with a comma is written in quotation marks."""
    return [name.strip() for line in csv.reader([text], skipinitialspace=True) for name in line]


def spell_name(name: str, *, in_list: bool = False) -> str:
    """A name as it is typed in a shell; a list of names is read by `split_names`."""
    if in_list and any(char in name for char in ',"'):
        name = '"' + name.replace('"', '""') + '"'
    return shlex.quote(name)
