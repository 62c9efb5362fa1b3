"""Conditions on the rows of a table: the values that some of its columns may have.

    {"sex": "F"}                     the category, the number or the date that is spelled so
    {"age": (30, 40)}                from 30 to 40, both included; None at one end leaves it open
    {"cut": ["Good", "Fair"]}        one of several values or ranges

Values are texts as in the file, or numbers, truth values and dates of Python. A missing value meets
no condition.
"""

import datetime
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never, final

import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.data.spelling import DATE_SIGNS, EPOCH, ISO, spell
from vae_cli.errors import UsageError, list_some, mark, shorten

Value = str | float | bool | datetime.date
Wanted = Value | tuple[Value | None, Value | None]
Where = Mapping[str, Wanted | list[Wanted]]
MAX_NAMED = 20  # categories in a message
ENDS = 2  # of a range
STEPS = {"%f": 1e-6, "%S": 1.0, "%M": 60.0, "%H": 3600.0, "%I": 3600.0}  # seconds
DAY = 86400.0


class Interval(NamedTuple):
    """The numbers from `low` to `high`, both included."""

    low: float
    high: float


@final
@dataclass(frozen=True)
class Condition:
    """The values that one column may have.

    Attributes:
        place: of the column in a row.
        intervals: a value has to lie in one of them.
    """

    place: int
    intervals: tuple[Interval, ...]

    def holds(self, rows: Tensor) -> Tensor:
        """Which of the rows `(N, D)` meet it: bool `(N,)`."""
        values = rows[:, self.place, None]
        low, high = torch.tensor(self.intervals, dtype=rows.dtype, device=rows.device).T
        found: Tensor = ((low <= values) & (values <= high)).any(1)
        return found


def make_conditions(spec: Spec, where: Where) -> list[Condition]:
    """The conditions that somebody asks for, in the numbers of the rows.

    Raises:
        UsageError: there is no such column, or a value is none that the column can have.

    Example:
        >>> column = Column(name="sex", kind="category", categories=("F", "M"))
        >>> spec = Spec("people", (1,), columns=(column,))
        >>> (condition,) = make_conditions(spec, {"sex": "M"})
        >>> condition.holds(torch.tensor([[0.0], [1.0], [torch.nan]])).tolist()
        [False, True, False]
    """
    return [_make_condition(spec, name, wanted) for name, wanted in where.items()]


def _make_condition(spec: Spec, name: str, wanted: Wanted | list[Wanted]) -> Condition:
    place = find_column(spec, name)
    several = wanted if isinstance(wanted, list) else [wanted]
    if not several:
        raise _refuse(spec.columns[place], "", "there is no value")
    return Condition(place, tuple(_read_wanted(spec.columns[place], one) for one in several))


def _read_wanted(column: Column, wanted: Wanted) -> Interval:
    return _read_range(column, wanted) if isinstance(wanted, tuple) else _read_value(column, wanted)


def find_column(spec: Spec, name: str) -> int:
    """The place of a column in a row.

    Raises:
        UsageError: there is no such column, or the model does not learn it.
    """
    if name in spec.column_names:
        return spec.column_names.index(name)
    rules = spec.table
    if name in {rules.label, rules.id, *rules.dropped}:
        raise UsageError(f"{mark('where')} {name}: the model of {spec.name} did not learn it")
    names = [*spec.column_names, *(column.name for column in spec.condition)]
    if not names:
        raise UsageError(f"{mark('where')} {name}: {spec.name} has no columns")
    near = difflib.get_close_matches(name, names, 1, cutoff=0)[0]
    raise UsageError(
        f"{mark('where')} {shorten(name)}: {spec.name} has no such column; did you mean {near}?"
    )


def _read_range(column: Column, ends: Sequence[Value | None]) -> Interval:
    """The numbers between two values of a column.

    Raises:
        UsageError: the column has categories, or the first value is larger than the second.
    """
    shown = "..".join("" if end is None else str(end) for end in ends)
    if not column.is_measured or len(ends) != ENDS:
        raise _refuse(column, shown, "a range needs a column of numbers or dates, and two ends")
    low, high = (None if end is None else _read_value(column, end) for end in ends)
    found = Interval(low.low if low else -math.inf, high.high if high else math.inf)
    if found.low > found.high:
        raise _refuse(column, shown, "no value is in this range")
    return found


def _read_value(column: Column, value: Value) -> Interval:
    """The numbers that are spelled like a value of a column."""
    match column.kind:
        case "category" | "constant":
            code = _find_category(column, str(value))
            return Interval(code, code)
        case "number" | "integer":
            return _round_to(_read_number(column, value), _precision(column))
        case "date":
            return _read_date(column, value)
        case _:
            assert_never(column.kind)


def read_exact(column: Column, value: Value, key: str) -> float:
    """The one number that a value of a column stands for.

    Args:
        column: what its numbers mean.
        value: as in a condition.
        key: what asks for it, for messages.

    Raises:
        UsageError: it is no value of the column.

    Example:
        >>> read_exact(Column(name="sex", kind="category", categories=("F", "M")), "m", "y")
        1.0
    """
    try:
        if column.kind in {"number", "integer"}:
            return _read_number(column, value)
        return float(_read_value(column, value).low)
    except UsageError as error:
        raise UsageError(error.message.replace(mark("where"), mark(key), 1)) from error


def _find_category(column: Column, text: str) -> int:
    """The code of a category, by its text; capitals are ignored if only one text is meant.

    Raises:
        UsageError: there is none.
    """
    known = column.categories
    if text in known:
        return known.index(text)
    folded = [one.casefold() for one in known]
    if folded.count(text.casefold()) == 1:
        return folded.index(text.casefold())
    near = difflib.get_close_matches(text, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {list_some(known, MAX_NAMED)}"
    raise _refuse(column, text, hint)


def _read_number(column: Column, value: Value) -> float:
    """A number, whose text may be spelled as in the file or as in Python.

    Raises:
        UsageError: it is none.
    """
    style, text = column.format, str(value)
    for sign in (style.prefix, style.suffix, style.thousands):
        text = text.replace(sign, "") if sign and sign != "." else text
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise _refuse(column, str(value), "the column has numbers")
    return number


def _precision(column: Column) -> float:
    """The distance between two numbers that are spelled differently; 0 if it is not fixed."""
    if column.kind == "integer":
        return 1.0
    decimals = column.format.decimals
    return 0.0 if decimals is None else 10.0**-decimals


def _round_to(number: float, precision: float) -> Interval:
    """The numbers that are rounded to one of them."""
    return Interval(number - precision / 2, math.nextafter(number + precision / 2, number))


def _read_date(column: Column, value: Value) -> Interval:
    """The seconds since 1970 that are written like a date, in the pattern of the column or in ISO.

    Raises:
        UsageError: it is none.
    """
    text, pattern = str(value), column.format.date or ISO
    for parse in (_parse_pattern, _parse_iso):
        try:
            moment, step = parse(text, pattern)
        except ValueError:
            continue
        start = (moment - EPOCH).total_seconds()
        return Interval(start, math.nextafter(start + step, start))
    raise _refuse(column, text, f"write it as in {spell(column, [0.0])[0]}")


def _parse_pattern(text: str, pattern: str) -> tuple[datetime.datetime, float]:
    """A moment in the pattern of a column, and the seconds until the next one that it can write."""
    moment = datetime.datetime.strptime(text, pattern)
    if not DATE_SIGNS.search(pattern):
        moment = datetime.datetime.combine(EPOCH, moment.time())
    return moment, min((step for sign, step in STEPS.items() if sign in pattern), default=DAY)


def _parse_iso(text: str, _pattern: str) -> tuple[datetime.datetime, float]:
    """A moment of ISO 8601, or a whole day."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    return moment, STEPS["%S"] if ":" in text else DAY


def _refuse(column: Column, value: str, advice: str) -> UsageError:
    return UsageError(f"{mark('where')} {shorten(column.name)}={shorten(value)}: {advice}")
