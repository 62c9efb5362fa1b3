"""How people and spreadsheets spell what stands in the cell of a table.

    1234.5   1,234.5   1.234,5   1 234,5   1'234.5      grouped digits, a decimal point or comma
    $5   5 €   5%                                       a unit that all cells of the column have
    (empty)   NA   N/A   -   ?   #N/A   #DIV/0!         no value

What is assumed about one text is decided here; `cell_arrays.py` does it with whole columns.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, final

MISSING = frozenset(  # in lower case
    [
        *("", "na", "n/a", "n.a.", "nan", "-nan", "null", "(null)", "none", "nil", "<na>", "?"),
        *("nat", "-", "--", "\N{EN DASH}", "\N{EM DASH}", "\\n"),  # \N is what databases write
        *("#n/a", "#na", "#n/a n/a", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!"),
    ]
)
MISSING_SPELLINGS = sorted(  # also in capitals, but not in a mixture of both
    {spelling for text in MISSING for spelling in (text, text.upper(), text.capitalize())}
    | {"NaN", "-NaN", "NaT", "N/a"}
)
NO_CLASS = "(none)"  # of a row whose cell in the column of the classes is empty
SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
GROUPED = re.compile(  # 0,123 is no thousand
    rf"[+-]?[1-9][0-9]{{0,2}}([,.'’{SPACES}])[0-9]{{3}}(?:\1[0-9]{{3}})*(?:([,.])[0-9]+)?"
)
PLAIN = re.compile(r"[+-]?(?:[0-9]+([,.]?)[0-9]*|([,.])[0-9]+)(?:[eE][+-]?[0-9]+)?")
OTHER_SIGN = {",": ".", ".": ","}


class Unit(NamedTuple):
    """The digits of a number with their sign, and what stands before or after them."""

    digits: str
    prefix: str = ""
    suffix: str = ""


@final
@dataclass(frozen=True, kw_only=True)
class NumberSpelling:
    """How all numbers of a column are spelled.

    Attributes:
        decimal: the sign before the decimals.
        thousands: the sign between thousands; empty if there is none.
        prefix: the sign of a currency before each number.
        suffix: the sign of a currency or of percent after it.
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""

    @property
    def is_unmarked(self) -> bool:
        """Whether there are only digits and a decimal sign."""
        return not (self.thousands or self.prefix or self.suffix)

    @property
    def pattern(self) -> str:
        """A regular expression of such numbers, in the syntax of RE2 and of Python."""
        space, decimal = f"[{SPACES}]*", re.escape(self.decimal)
        whole = "[0-9]+"
        if self.thousands:
            group = re.escape(self.thousands)
            whole = f"(?:[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|[0-9]+)"
        number = f"(?:{whole}(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        before = re.escape(self.prefix) + space if self.prefix else ""
        after = space + re.escape(self.suffix) if self.suffix else ""
        signed = f"(?:[+-]?{before}|{before}[+-])" if before else "[+-]?"
        return f"^{signed}{number}{after}$"

    def parse(self, text: str) -> float | None:
        """The number that is spelled so; None if the text is another."""
        if not re.match(self.pattern, text := text.strip().replace("\N{MINUS SIGN}", "-")):
            return None
        for sign in (self.prefix, self.suffix, self.thousands, *SPACES):
            text = text.replace(sign, "") if sign else text
        return float(text.replace(self.decimal, "."))


def is_missing(cell: str) -> bool:
    """Whether a cell is empty, or says that there is no value."""
    return cell.strip().lower() in MISSING


def split_unit(text: str) -> Unit:
    """The digits of a number, and the percent sign or the sign of a currency beside them."""
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    sign, rest = (text[0], text[1:]) if text[:1] in {"+", "-"} else ("", text)
    if _is_currency(rest[:1]):
        return Unit(sign + rest[1:].lstrip(), prefix=rest[0])
    if rest[-1:] == "%" or _is_currency(rest[-1:]):
        return Unit(sign + rest[:-1].rstrip(), suffix=rest[-1])
    return Unit(text)


def _is_currency(char: str) -> bool:
    return bool(char) and unicodedata.category(char) == "Sc"


def find_decimal(texts: Iterable[str], delimiter: str) -> str:
    """The decimal sign of a table: that of the first number in which it can be nothing else.

    Between commas, no comma can be a decimal sign. If all signs may be either, as in `1,500`, they
    are decimal signs.
    """
    if delimiter == ",":
        return "."
    possible = ""
    for text in texts:
        digits = split_unit(text).digits
        grouped, plain = GROUPED.fullmatch(digits), PLAIN.fullmatch(digits)
        if grouped and grouped[2] and grouped[2] != grouped[1]:
            return grouped[2]
        if grouped and grouped[1] in OTHER_SIGN and grouped[0].count(grouped[1]) > 1:
            return OTHER_SIGN[grouped[1]]
        sign = (plain[1] or plain[2] or "") if plain else ""
        if sign and not grouped:
            return sign
        possible = possible or sign
    return possible or "."


def infer_spelling(texts: Iterable[str], decimal: str, delimiter: str) -> NumberSpelling:
    """How the numbers among some texts of a column are spelled, judged by those that say it.

    A sign between thousands must be certain in one of them: `1,234.5` or `1.234.567`, and `1,500`
    between commas.
    """
    unit, thousands = Unit(""), ""
    for text in texts:
        found = split_unit(text)
        grouped = GROUPED.fullmatch(found.digits)
        if grouped or PLAIN.fullmatch(found.digits):
            unit = unit if unit.digits else found
        if grouped and grouped[1] != decimal and _is_certain(grouped, delimiter):
            thousands = grouped[1]
            break
    return NumberSpelling(
        decimal=decimal, thousands=thousands, prefix=unit.prefix, suffix=unit.suffix
    )


def _is_certain(grouped: re.Match[str], delimiter: str) -> bool:
    """Whether a sign can only be one between thousands."""
    group, decimal = grouped[1], grouped[2]
    if group not in OTHER_SIGN or grouped[0].count(group) > 1:
        return decimal != group
    return (decimal is not None and decimal != group) or (group == "," == delimiter)


def to_number(text: str, delimiter: str = ",") -> float | None:
    """The finite number that a cell holds by itself; None if it holds none."""
    decimal = find_decimal([text], delimiter)
    value = infer_spelling([text], decimal, delimiter).parse(text)
    return value if value is not None and abs(value) < float("inf") else None


def sort_texts(texts: Iterable[str]) -> list[str]:
    """Texts in the order of their numbers, 2 before 10, and after them the others by alphabet."""
    return sorted(texts, key=_number_or_text)


def _number_or_text(text: str) -> tuple[bool, float, str]:
    number = to_number(text)
    return number is None, number or 0.0, text


def default_columns(count: int) -> tuple[str, ...]:
    """The names of columns in a table without a header."""
    return tuple(f"column {n}" for n in range(1, count + 1))
