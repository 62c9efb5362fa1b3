"""Whole columns of cells as numbers, dates and texts, by Arrow: no loop over rows.

Missing values are nulls in an Arrow array, and NaN in float64.
"""

import datetime
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vae_cli.data.cells import MISSING_SPELLINGS, NumberSpelling, infer_spelling
from vae_cli.files import unescape_formula

Array = np.ndarray[Any, np.dtype[Any]]
TEXT = pa.string()
MISSING_TEXTS = pa.array(MISSING_SPELLINGS, TEXT)
INSTANT = pa.timestamp("us")
EPOCH_OF_TIMES = 2_208_988_800  # seconds from 1900, the year of a time without a date, to 1970
MICROSECONDS = 1_000_000
EXAMPLES = 200  # different cells by which the spelling of a column is judged
LATEST_OVERFLOW = 3  # the days to which the 31st of a shorter month would overflow
DATE_PATTERNS = (  # beside those of ISO 8601; months come first where days may as well
    *("%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%y"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y"),
)
TIME_PATTERNS = ("%H:%M:%S", "%H:%M", "%I:%M %p", "%I:%M:%S %p")
ISO_PATTERNS = ("ISO", "ISO with zone")
PATTERNS = (
    *DATE_PATTERNS,
    *(f"{date} {time}" for date in DATE_PATTERNS for time in TIME_PATTERNS),
    *TIME_PATTERNS,
)
ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:(?P<sep>[ T])\d\d(?P<minute>:\d\d)(?P<second>:\d\d)?"
    r"(?P<fraction>[.]\d{1,6})?)?"
)


class Parsed(NamedTuple):
    """The values of some cells.

    Attributes:
        values: float64 `(N,)`; NaN if a value is missing or the cell is wrong.
        wrong: bool `(N,)`, the cells that are something else; None if there are none.
    """

    values: Array
    wrong: Array | None = None


def to_plain(array: Any) -> Any:
    """A column as one of few types: texts, float64, instants in microseconds, or nulls alone.

    Truth values become the texts that Python writes, and other types stay as they are.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    kind = array.type
    if pa.types.is_dictionary(kind):
        texts = to_plain(array.dictionary)
        return to_plain(pa.DictionaryArray.from_arrays(array.indices, texts).cast(texts.type))
    if pa.types.is_boolean(kind):
        return pc.if_else(array, "True", "False")
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(TEXT)
    return _to_numbers(array) if _is_number(kind) else _to_instants(array)


def _is_number(kind: Any) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_duration)
    return any(test(kind) for test in tests)


def _to_numbers(array: Any) -> Any:
    """Numbers as float64, and durations as seconds; what is not a number is missing."""
    if pa.types.is_duration(array.type):
        microseconds = array.cast(pa.duration("us")).cast(pa.int64())
        return pc.divide(microseconds.cast(pa.float64(), safe=False), MICROSECONDS)
    if pa.types.is_decimal(array.type):  # as a text; Arrow makes 0.35000000000000003 of 0.35
        array = array.cast(TEXT)
    numbers = array.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _to_instants(array: Any) -> Any:
    """Days, times and instants as instants, those of a zone in UTC; other types as they are."""
    kind = array.type
    if pa.types.is_time(kind):
        return array.cast(pa.time64("us")).cast(pa.int64()).cast(INSTANT)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        zone = getattr(kind, "tz", None)
        return array.cast(pa.timestamp("us", zone), safe=False).cast(INSTANT)
    return array


def with_nulls(texts: Any) -> Any:
    """Texts without the spaces around them, and nulls where they say that there is no value."""
    trimmed = pc.ascii_trim_whitespace(texts)
    missing = pc.is_in(trimmed, value_set=MISSING_TEXTS)
    if not pc.any(missing).as_py():
        return trimmed
    return pc.if_else(missing, pa.scalar(None, TEXT), trimmed)


def to_floats(array: Any) -> Array:
    """An array of numbers as float64, with NaN in place of nulls."""
    return _share(array.cast(pa.float64(), safe=False).fill_null(math.nan), np.float64)


def to_seconds(instants: Any) -> Array:
    """Instants as seconds since 1970."""
    return to_floats(instants.cast(pa.int64())) / MICROSECONDS


def to_mask(array: Any) -> Array:
    """An array of truth values as a mask, which is False where they are missing."""
    return _share(array.fill_null(False).cast(pa.uint8()), np.uint8).astype(np.bool_)


def _share(array: Any, dtype: type) -> Array:
    """The memory of an array without nulls; `to_numpy` would import pandas, if it is there."""
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype)[array.offset : array.offset + len(array)]


def first_places(mask: Array, count: int = 3) -> list[int]:
    """The places of the first cells of a mask."""
    places: list[int] = np.flatnonzero(mask)[:count].tolist()
    return places


@final
class NumberParser:
    """Reads the texts of a column as numbers, and finds out how it spells them.

    All cells have the same unit, because `5%` and `5` in one column are not the same measure.

    Args:
        decimal: the decimal sign of the table.
        delimiter: between its cells.
    """

    def __init__(self, decimal: str = ".", delimiter: str = ",") -> None:
        self.spelling = NumberSpelling(decimal=decimal)
        self.delimiter = delimiter
        self.has_numbers = False
        self.example: tuple[str, float] | None = None

    def parse(self, texts: Any) -> Parsed:
        """The numbers of texts without spaces around them; see `with_nulls`."""
        try:
            values = to_floats(self._read_plain(texts))
        except pa.ArrowInvalid:
            return self._parse_spelled(texts)
        self.has_numbers = self.has_numbers or len(texts) > texts.null_count
        return Parsed(values)

    def _read_plain(self, texts: Any) -> Any:
        """Numbers without a unit and without signs between thousands.

        Raises:
            ArrowInvalid: a text is none.
        """
        if self.spelling.prefix or self.spelling.suffix:
            raise pa.ArrowInvalid("each number has a unit")
        if self.spelling.decimal == ",":
            if pc.any(pc.match_substring(texts, ".")).as_py():
                raise pa.ArrowInvalid("a point is no decimal sign here")
            texts = pc.replace_substring(texts, ",", ".")
        return texts.cast(pa.float64())

    def _parse_spelled(self, texts: Any) -> Parsed:
        texts = pc.replace_substring(pc.utf8_trim_whitespace(texts), "\N{MINUS SIGN}", "-")
        self._learn_spelling(texts)
        spelling = self.spelling
        fits = pc.match_substring_regex(texts, spelling.pattern)
        clean = pc.if_else(fits, texts, pa.scalar(None, TEXT))
        for sign in (spelling.prefix, spelling.suffix, spelling.thousands):
            clean = pc.replace_substring(clean, sign, "") if sign else clean
        clean = pc.replace_substring(pc.utf8_trim_whitespace(clean), spelling.decimal, ".")
        values = to_floats(pc.replace_substring_regex(clean, r"\s+", "").cast(pa.float64()))
        wrong = to_mask(pc.invert(fits))
        if not (self.example or spelling.is_unmarked) and not np.isnan(values).all():
            place = int(np.isnan(values).argmin())
            self.example = texts[place].as_py(), float(values[place])
        self.has_numbers = self.has_numbers or not np.isnan(values).all()
        return Parsed(values, wrong if wrong.any() else None)

    def _learn_spelling(self, texts: Any) -> None:
        """Take the spelling of these cells, unless the cells before them had another unit."""
        known = self.spelling
        some = pc.unique(texts.drop_null())[:EXAMPLES].to_pylist()
        found = infer_spelling(some, known.decimal, self.delimiter)
        if self.has_numbers and (found.prefix, found.suffix) != (known.prefix, known.suffix):
            return
        self.spelling = found if found.thousands or not known.thousands else known


@final
class DateParser:
    """Reads the texts of a column as dates, and finds the patterns that all of them follow.

    Args:
        pattern: the pattern, as `strptime` takes it; if it is empty, it is found.
    """

    def __init__(self, pattern: str = "") -> None:
        if pattern.startswith("%Y-%m-%d"):
            self.patterns: tuple[str, ...] = ISO_PATTERNS
        else:
            self.patterns = (pattern,) if pattern else (*ISO_PATTERNS, *PATTERNS)
        self.example = ""

    def parse(self, texts: Any) -> Parsed:
        """The seconds since 1970 of texts; wrong cells are those that the best pattern refuses."""
        known = texts.drop_null()
        if len(self.patterns) > 1 and len(known):
            self._choose(known.slice(0, EXAMPLES))
        found = {pattern: parse_dates(texts, pattern) for pattern in self.patterns}
        fitting = tuple(pattern for pattern, parsed in found.items() if parsed.wrong is None)
        if not fitting:
            return min(found.values(), key=count_wrong)
        self.patterns = fitting
        self.example = self.example or (known[0].as_py() if len(known) else "")
        return found[fitting[0]]

    def _choose(self, some: Any) -> None:
        """Keep the patterns that some cells follow, or the one that most of them follow."""
        wrong = {one: count_wrong(parse_dates(some, one)) for one in self.patterns}
        least = min(wrong.values())
        fitting = [one for one, count in wrong.items() if count == least]
        self.patterns = tuple(fitting if least == 0 else fitting[:1])

    @property
    def other_pattern(self) -> str:
        """The same with day and month exchanged, if all cells follow that one too; else empty."""
        swapped = self.pattern.translate(str.maketrans("dm", "md"))
        return swapped if swapped != self.pattern and swapped in self.patterns else ""

    @property
    def pattern(self) -> str:
        """The pattern with which dates are written as they were read."""
        first = self.patterns[0]
        return pattern_of_iso(self.example) if first.startswith("ISO") else first


def count_wrong(parsed: Parsed) -> int:
    """The number of cells that are something else."""
    return 0 if parsed.wrong is None else int(parsed.wrong.sum())


def parse_dates(texts: Any, pattern: str) -> Parsed:
    """The seconds since 1970-01-01 of dates that follow a pattern."""
    missing = to_mask(pc.is_null(texts))
    if pattern in ISO_PATTERNS:
        seconds = to_seconds(read_iso(texts, "UTC" if pattern == ISO_PATTERNS[1] else None))
    else:
        encoded = texts.dictionary_encode()
        known = encoded.dictionary
        instants = pc.strptime(known, format=pattern, unit="us", error_is_null=True)
        different = to_seconds(_refuse_overflow(instants, known, pattern))
        places = to_floats(encoded.indices.fill_null(len(known))).astype(np.int64)
        seconds = np.append(different, np.nan)[places]
    if pattern in TIME_PATTERNS:
        seconds = seconds + EPOCH_OF_TIMES
    wrong = np.isnan(seconds) & ~missing
    return Parsed(seconds, wrong if wrong.any() else None)


def read_iso(texts: Any, zone: str | None) -> Any:
    """Instants of ISO 8601, all with a zone or all without one; null where a text is none."""
    kind = pa.timestamp("us", zone)
    with suppress(pa.ArrowInvalid):
        return texts.cast(kind).cast(INSTANT)
    pattern = f"^{ISO.pattern}$" if zone is None else f"^{ISO.pattern}(?:Z|[+-][0-9:]{{2,5}})$"
    texts = pc.if_else(pc.match_substring_regex(texts, pattern), texts, pa.scalar(None, TEXT))
    with suppress(pa.ArrowInvalid):
        return texts.cast(kind).cast(INSTANT)
    # some of them are no days, such as the 30th of February
    return pa.array([_read_or_none(text, kind) for text in texts.to_pylist()], INSTANT)


def _read_or_none(text: str | None, kind: Any) -> Any:
    with suppress(pa.ArrowInvalid):
        return None if text is None else pa.scalar(text, TEXT).cast(kind).cast(INSTANT).as_py()
    return None


def _refuse_overflow(instants: Any, texts: Any, pattern: str) -> Any:
    """The same instants, with null for `31.02.`, which C takes for the 2nd or 3rd of March."""
    if "%d" not in pattern:
        return instants
    early = to_mask(pc.less_equal(pc.day(instants), LATEST_OVERFLOW))
    refused = early.copy()
    for place in np.flatnonzero(early):
        refused[place] = not _follows(texts[int(place)].as_py(), pattern)
    if not refused.any():
        return instants
    return pc.if_else(pa.array(refused), pa.scalar(None, instants.type), instants)


def _follows(text: str, pattern: str) -> bool:
    try:
        datetime.datetime.strptime(text, pattern)
    except ValueError:
        return False
    return True


def pattern_of_iso(text: str) -> str:
    """The pattern of a date of ISO 8601, as `strftime` takes it."""
    found = ISO.match(text)
    if found is None or not found["sep"]:
        return "%Y-%m-%d"
    zone = "Z" if found.end() < len(text) else ""
    time = "%H:%M" + (":%S" if found["second"] else "") + (".%f" if found["fraction"] else "")
    return f"%Y-%m-%d{found['sep']}{time}{zone}"


def encode_texts(array: Any, code_of: Callable[[str | float], float]) -> Array:
    """Codes of the cells, asked once for each different text or number; NaN where it is missing.

    Args:
        array: texts or numbers.
        code_of: the code of a text or of a number.
    """
    encoded = array.dictionary_encode()
    known = [code_of(clean(value)) for value in encoded.dictionary.to_pylist()]
    places = to_floats(encoded.indices)
    missing = np.isnan(places)
    codes = np.array([*known, np.nan])
    return codes[np.where(missing, len(known), places).astype(np.int64)]


def clean(value: str | float) -> str | float:
    """A text as it was before it was written for a spreadsheet; a number as it is."""
    return unescape_formula(value.strip()) if isinstance(value, str) else value


class Counted(NamedTuple):
    """The different values of some cells.

    Attributes:
        values: in the order in which they occur first; those that are cleaned may be repeated.
        counts: how often each of them occurs.
        places: int32 `(N,)`, the value of each cell; the number of values where it is missing.
    """

    values: list[str | float]
    counts: list[int]
    places: Array


def count_values(array: Any) -> Counted:
    """The different values of cells, and how often each of them occurs."""
    encoded = array.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    places = _share(encoded.indices.fill_null(len(values)), np.int32)
    counts = np.bincount(places, minlength=len(values) + 1)[:-1]
    return Counted(list(map(clean, values)), counts.tolist(), places)


def characters(texts: Any) -> tuple[Array, Array]:
    """The bytes of all texts that are not missing, uint8, and where each begins and the last ends.

    Functions of bytes are several times as fast as those of texts, and the characters of numbers
    are bytes.
    """
    texts = texts.drop_null() if texts.null_count else texts
    _, offsets, data = texts.buffers()
    if not len(texts) or data is None:
        return np.empty(0, np.uint8), np.zeros(len(texts) + 1, np.int32)
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]], ends - ends[0]
