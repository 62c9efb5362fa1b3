"""The cells of a table as numbers, in the spellings of people and of spreadsheets.

    1234.5   1,234.5   1.234,5   1 234,5   1'234.5      grouped digits, a decimal point or comma
    $5   5 €   5%                                       a unit that all cells of the column have
    (empty)   NA   N/A   -   ?   #N/A   #DIV/0!         no value

Everything that is assumed about a number is decided here, and said in a note.
"""

import math
import re
import shlex
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, final

from vae_cli.errors import list_some, shorten

MISSING = frozenset(  # in lower case
    [
        *("", "na", "n/a", "n.a.", "nan", "-nan", "null", "(null)", "none", "nil", "<na>", "?"),
        *("-", "--", "\N{EN DASH}", "\N{EM DASH}", "\\n"),  # \N is what databases write
        *("#n/a", "#na", "#n/a n/a", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!"),
    ]
)
GROUPED = re.compile(  # 0,123 is no thousand
    r"[+-]?[1-9][0-9]{0,2}([,. '’\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}])[0-9]{3}"
    r"(?:\1[0-9]{3})*(?:([,.])[0-9]+)?"
)
QUOTED = re.compile(r'"(?:[^"]|"")*"')
NAME_IN_LIST = re.compile(rf"(\s*{QUOTED.pattern}\s*|[^,]*),")
OTHER_SIGN = {",": ".", ".": ","}
MAX_NAMED = 5  # columns in a note


class SpelledNumber(NamedTuple):
    """A number as it is written.

    Attributes:
        digits: with a sign.
        unit: `%` or the sign of a currency; empty if there is none.
    """

    digits: str
    unit: str


@final
class TextCellError(ValueError):
    """A cell holds a text that is no number in any spelling."""


@final
class CellParser:
    """Reads numbers, and finds out how the columns of a table spell them.

    The first number with a decimal sign decides for the whole table, because `1.500` after `2,5`
    would be one and a half to one reader and fifteen hundred to another. The first number of a
    column decides about its unit: `5%` and `5` in one column are not the same measure.

    Args:
        delimiter: of the cells. Between commas, no comma can be a decimal sign, so `1,500` in
            quotes is fifteen hundred.
    """

    def __init__(self, delimiter: str) -> None:
        self.has_commas = delimiter == ","
        self.decimal = "." if self.has_commas else ""
        self.units: dict[int, str] = {}
        self.examples: dict[int, tuple[str, float]] = {}
        self.has_plain_row = self.has_units = False

    def parse_row(self, cells: Sequence[str]) -> list[float] | None:
        """The numbers of a row at once; None if one of its cells needs `parse`."""
        text = "\n".join(cells)
        if self.has_units or "_" in text or (self.decimal == "," and "." in text):
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
        self.has_plain_row = True
        return values

    def parse(self, cell: str, column: int = 0) -> float:
        """The number in a cell of a column; NaN if its value is missing.

        Raises:
            TextCellError: it is a text.
            ValueError: it is not a finite number, or not spelled like those above it; the message
                says what it is.
        """
        text = cell.strip()
        if is_missing(text):
            return math.nan
        digits, unit = split_unit(text)
        value = self._parse_digits(digits, text)
        self._require_unit(unit, text, column)
        if not math.isfinite(value):
            raise ValueError(f"{shorten(text)!r} is not a finite number")
        if unit or GROUPED.fullmatch(digits):
            self.examples.setdefault(column, (text, value))
        return value

    def _parse_digits(self, digits: str, text: str) -> float:
        grouped = GROUPED.fullmatch(digits)
        if grouped and self._is_certain(grouped):
            group, decimal = grouped[1], grouped[2] or OTHER_SIGN.get(grouped[1], "")
            digits = digits.replace(group, "")
        else:
            decimal = "," if "," in digits else "." if "." in digits else ""
        try:  # Python also accepts `1_000`, which is not a number in a table
            value = float(digits.replace(",", ".")) if "_" not in digits else math.nan
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise TextCellError(f"{shorten(text)!r} is not a number")
        if decimal == "," and self.has_commas:
            raise ValueError(
                f"{shorten(text)!r} is not a number: between commas, write a decimal point"
            )
        if decimal and self.decimal not in {"", decimal}:
            sign = "comma" if self.decimal == "," else "point"
            raise ValueError(
                f"{shorten(text)!r} is not a number, because the decimal sign is a {sign}"
            )
        self.decimal = self.decimal or decimal
        return value

    def _is_certain(self, grouped: re.Match[str]) -> bool:
        """Whether a sign can only be one between thousands, as it is in `1,234.5` or `1.234.567`.

        In `1,500` it is one if the comma cannot be a decimal sign.
        """
        group, decimal = grouped[1], grouped[2]
        if group not in OTHER_SIGN or grouped[0].count(group) > 1:
            return decimal != group
        return (decimal is not None and decimal != group) or (group == "," and self.has_commas)

    def _require_unit(self, unit: str, text: str, column: int) -> None:
        """Check that a number has the unit of those above it.

        Raises:
            ValueError: it has not.
        """
        known = self.units.get(column, "" if self.has_plain_row else None)
        if known is None or known == unit:
            self.units[column] = unit
            self.has_units = self.has_units or bool(unit)
            return
        has, had = (f"has the unit {sign}" if sign else "has no unit" for sign in (unit, known))
        raise ValueError(f"{shorten(text)!r} {has}, but a number above it {had}")

    def note(self, names: Sequence[str]) -> str:
        """What was assumed about the spelling of the columns with these names, for the user."""
        found = [
            f"{shorten(text)!r} in column {names[column]} is read as {value:.12g}"
            for column, (text, value) in sorted(self.examples.items())
        ]
        return list_some(found, MAX_NAMED)


def split_unit(text: str) -> SpelledNumber:
    """The digits of a number, and the percent sign or the sign of a currency beside them."""
    text = text.replace("\N{MINUS SIGN}", "-")
    sign, rest = (text[0], text[1:]) if text[:1] in {"+", "-"} else ("", text)
    unit = ""
    if _is_currency(rest[:1]):
        unit, rest = rest[0], rest[1:].lstrip()
    elif rest[-1:] == "%" or _is_currency(rest[-1:]):
        unit, rest = rest[-1], rest[:-1].rstrip()
    return SpelledNumber(sign + rest, unit)


def _is_currency(char: str) -> bool:
    return bool(char) and unicodedata.category(char) == "Sc"


def is_missing(cell: str) -> bool:
    """Whether a cell is empty, or says that there is no value."""
    return cell.strip().lower() in MISSING


def to_number(cell: str, delimiter: str) -> float | None:
    """The finite number in a cell; None if it holds none."""
    try:
        value = CellParser(delimiter).parse(cell)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def split_names(text: str) -> list[str]:
    """Names that are separated by commas; a name with a comma is written in quotation marks."""
    names = NAME_IN_LIST.findall(f"{text},")
    return [
        name[1:-1].replace('""', '"').strip() if QUOTED.fullmatch(name) else name
        for name in map(str.strip, names)
    ]


def spell_name(name: str, *, in_list: bool = False) -> str:
    """A name as it is typed in a shell; a list of names is read by `split_names`."""
    if in_list and any(char in name for char in ',"'):
        name = '"' + name.replace('"', '""') + '"'
    return shlex.quote(name)
