"""What the columns of a table are: found from all of their cells, or as the user says.

    number      a text such as 1.5, or $1,500 if all cells are spelled so
    integer     numbers without decimals
    category    texts of which each stands in several rows, truth values, and few whole numbers
    date        days, times and instants in one of the usual formats
    constant    one value and no hole: there is nothing to learn
    id          unique texts, or whole numbers that count the rows: there is nothing to learn either
    text        other texts, about which the user decides
    empty       no value at all

The guesses are tried in the order of their strictness: numbers, dates, texts. A guess that a later
part of a column refutes is replaced by the next one, and that column is read again.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, cast, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vae_cli.data.cell_arrays import (
    Array,
    Counted,
    DateParser,
    NumberParser,
    Parsed,
    characters,
    count_values,
    first_places,
    to_floats,
    to_mask,
    to_seconds,
    with_nulls,
)
from vae_cli.data.cells import (
    OTHER_SIGN,
    SPACES,
    NumberSpelling,
    find_decimal,
    sort_texts,
    to_number,
)
from vae_cli.data.columns import AskedKind, CellFormat, Column, ColumnKind
from vae_cli.data.kept_cells import KeptCells
from vae_cli.data.memory import MAX_CLASSES
from vae_cli.data.spelling import spell
from vae_cli.data.table_names import spell_name
from vae_cli.data.table_source import TableSource, each
from vae_cli.errors import mark, shorten

FileKind = ColumnKind | Literal["id", "text", "empty", "label", "dropped"]
MAX_FEW = 20  # values of a column whose whole numbers are names of categories
ROWS_A_VALUE = 10  # of such a column, so that a short table of counts is not one of categories
MAX_CATEGORIES = 5000  # more of them would make the first layer larger than all others
MIN_COUNTED = 10  # rows that count from 0 or 1 without being an index by chance
MIXED_SHARE = 0.9  # of numbers or dates, from which on the other cells are taken for mistakes
UNIQUE_SHARE = 0.5  # the same of texts that are all different, which would be left out as ids
MAX_WRONG = MAX_EXAMPLES = 3  # cells in a message
ASKED = "as it was asked"
LOOKED_AT = 1000  # first cells of a part, by which something is judged quickly
MICRO_DIGITS = 6  # decimals of a second, of which dates keep no more
SECONDS_A_DAY = 86_400
LOWER_CASE = 0x20  # the bit that makes a letter of ASCII small
MAX_SIZE = 1e150  # of a number; the square of a larger one is infinite in float64
MAX_DECIMALS = 9  # with more of them, significant digits tell more
ID_NAME = re.compile(r"(?:^|[\W_])(?:id|index|key|uuid|guid|nr|no|number)$|[a-z](?:Id|ID)$", re.I)
OLDEST_DATE, NEWEST_DATE = -62_135_596_800.0, 253_402_300_800.0  # the years 1 and 10,000
NOTHING = Parsed(np.empty(0))


@final
@dataclass(frozen=True, kw_only=True)
class ColumnReport:
    """What is known about a column of a table.

    Attributes:
        name: its title.
        kind: what it is.
        reason: why, in words.
        column: what rows have of it; None if they do not have it.
        rows: the number of its cells.
        missing: how many of them have no value.
        distinct: the number of its different values; None if there are too many to count.
        low: the smallest value as it is written; empty if it is not measured.
        high: the largest one.
        examples: the first different cells.
        counts_rows: whether it has nothing but the numbers of the rows.
        problem: why it cannot be learned, as one line; empty if nothing speaks against it.
        note: what was assumed about it, for the user; empty if nothing was.
    """

    name: str
    kind: FileKind
    reason: str
    column: Column | None = None
    rows: int
    missing: int = 0
    distinct: int | None = None
    low: str = ""
    high: str = ""
    examples: tuple[str, ...] = ()
    counts_rows: bool = False
    problem: str = ""
    note: str = ""


class Observer(ABC):
    """Watches the cells of a column, a part at a time, with one guess of what they are.

    Args:
        source: of the table.
        name: of the column.
        asked: what the user says of it; None if its kind is to be found.
    """

    def __init__(self, source: TableSource, name: str, asked: AskedKind | None) -> None:
        self.source, self.name, self.asked = source, name, asked
        self.rows = self.missing = self.wrong_count = 0
        self.wrong: list[tuple[int, str]] = []
        self.examples: list[str] = []
        self.missing_text = ""
        self.values: Array | None = None

    def add(self, array: Any) -> bool:
        """Watch the next cells; False if they are something else than the guess."""
        cells = self._with_nulls(array)
        parsed = self.parse(cells)
        if parsed.wrong is not None:
            if self.asked is None:
                return False
            self.wrong_count += int(parsed.wrong.sum())
            for place in first_places(parsed.wrong, MAX_WRONG - len(self.wrong)):
                self.wrong.append((self.rows + place, spell_value(cells[place].as_py())))
        if not self.watch(cells, parsed.values):
            return False
        self.missing += cells.null_count
        self._note_examples(cells)
        self.rows += len(array)
        self.values = self.recall(parsed.values)
        return True

    def recall(self, values: Array) -> Array | None:
        """What a reader would make of the last cells; None if it has more to say about them."""
        return values

    @property
    def texts(self) -> Sequence[str]:
        """The texts whose places `recall` returns; empty if these are numbers."""
        return ()

    @abstractmethod
    def parse(self, cells: Any) -> Parsed:
        """The values of cells, which are null where they are missing."""

    @abstractmethod
    def watch(self, cells: Any, values: Array) -> bool:
        """Learn from the next values; False if they refute the guess."""

    @abstractmethod
    def report(self) -> ColumnReport:
        """What the column is, after all of its cells."""

    def make_report(
        self, kind: FileKind, reason: str, column: Column | None = None, **facts: Any
    ) -> ColumnReport:
        """A report with the facts that all kinds have."""
        known: dict[str, Any] = {
            "rows": self.rows,
            "missing": self.missing,
            "examples": tuple(self.examples),
        }
        reason = ASKED if self.asked else reason
        return ColumnReport(
            name=self.name, kind=kind, reason=reason, column=column, **(known | facts)
        )

    @property
    def known(self) -> int:
        """The number of cells that have a value."""
        return self.rows - self.missing

    def _with_nulls(self, array: Any) -> Any:
        """The cells with nulls where they are missing."""
        if not pa.types.is_string(array.type):
            return array
        cells = with_nulls(array)
        if cells.null_count > array.null_count and not self.missing_text:
            place = first_places(to_mask(pc.is_null(cells)), 1)[0]
            self.missing_text = (array[place].as_py() or "").strip()
        return cells

    def _note_examples(self, cells: Any) -> None:
        if len(self.examples) < MAX_EXAMPLES:
            some = cells.slice(0, LOOKED_AT).drop_null().to_pylist()
            texts = dict.fromkeys(map(spell_value, some))
            new = [text for text in texts if text not in self.examples]
            self.examples += new[: MAX_EXAMPLES - len(self.examples)]


def spell_value(value: object) -> str:
    """A value of Arrow as a text; whole numbers have no decimals."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@final
class NumberObserver(Observer):
    """Guesses that all cells are numbers, all spelled alike and none with zeros before it."""

    def __init__(self, source: TableSource, name: str, asked: AskedKind | None) -> None:
        super().__init__(source, name, asked)
        self.parser = NumberParser(source.decimal, source.delimiter)
        self.low, self.high = math.inf, -math.inf
        self.decimals: int | None = 0
        self.min_decimals = MAX_DECIMALS
        self.is_whole = self.counts = True
        self.last: float | None = None
        self.few: set[float] = set()
        self.infinite: tuple[int, str] | None = None
        self.whole_values: list[Array] = []

    def parse(self, cells: Any) -> Parsed:
        """The numbers."""
        if pa.types.is_null(cells.type):
            return Parsed(np.full(len(cells), np.nan))
        if pa.types.is_floating(cells.type):
            return Parsed(to_floats(cells))
        if not pa.types.is_string(cells.type):
            return Parsed(np.full(len(cells), np.nan), np.ones(len(cells), np.bool_))
        if self.asked is None and has_leading_zeros(cells):
            return Parsed(np.full(len(cells), np.nan), np.ones(len(cells), np.bool_))
        return self.parser.parse(cells)

    def recall(self, values: Array) -> Array | None:
        """The numbers, unless their spelling is to be noted."""
        return None if self.parser.example else values

    def watch(self, cells: Any, values: Array) -> bool:
        """Learn the range, the decimals, and whether the values count the rows."""
        known = values[~np.isnan(values)]
        if len(known) == 0:
            self.counts = self.counts and len(values) == 0
            return True
        if not self.infinite and not np.isfinite(known).all():
            place = first_places(np.isinf(values), 1)[0]
            self.infinite = self.rows + place, spell_value(cells[place].as_py())
        self.low, self.high = min(self.low, known.min()), max(self.high, known.max())
        self.is_whole = self.is_whole and bool((known == np.floor(known)).all())
        self._watch_decimals(cells, known)
        self._watch_order(values, known)
        self._watch_few(known)
        return True

    def _watch_decimals(self, cells: Any, known: Array) -> None:
        if self.decimals is None:
            return
        if pa.types.is_string(cells.type):
            least, found = count_decimals(cells, self.parser.spelling)
        else:
            least, found = 0, decimals_of(known)
        if len(known):
            self.min_decimals = min(self.min_decimals, least)
        if found is None or found > MAX_DECIMALS:
            self.decimals = None
            return
        self.decimals = max(self.decimals, found)

    def _watch_order(self, values: Array, known: Array) -> None:
        """Whether each row has the number after that of the row before it."""
        if self.counts:
            before = np.append([known[0] - 1 if self.last is None else self.last], values[:-1])
            self.counts = bool((values - before == 1).all())
            self.last = float(values[-1])
        if self.is_whole and ID_NAME.search(self.name):
            self.whole_values.append(known)

    def _watch_few(self, known: Array) -> None:
        if len(self.few) <= MAX_FEW:
            self.few.update(known[:LOOKED_AT].tolist())
        if len(self.few) <= MAX_FEW:
            self.few.update(pa.array(known).unique().to_pylist())

    def report(self) -> ColumnReport:
        """A number, an integer, a few-valued category, a constant or an index."""
        if self.known == 0:
            return self.make_report("empty", "it has no value")
        if problem := self._find_problem():
            return self.make_report("number", "numbers", problem=problem)
        if not self.asked and (reason := self._explain_id()):
            return self.make_report(
                "id", reason, distinct=self.known, counts_rows=self.counts and not self.missing
            )
        facts: dict[str, Any] = {"distinct": len(self.few) if len(self.few) <= MAX_FEW else None}
        if self.asked or len(self.few) > 1:
            facts |= {"low": self._spell(self.low), "high": self._spell(self.high)}
        if not self.asked and len(self.few) == 1:
            return self._report_constant(**facts)
        if not self.asked and self._is_category():
            texts = tuple(map(self._spell, sorted(self.few)))
            reason = f"{len(texts)} whole numbers in {self.known:,} rows"
            column = Column(
                name=self.name,
                kind="category",
                categories=texts,
                format=self._format(),
            )
            return self.make_report("category", reason, column, **facts)
        kind: ColumnKind = "integer" if self.is_whole else "number"
        if self.asked and self.asked.kind == "number":
            kind = "number"
        reason = "whole numbers" if self.is_whole else "numbers"
        return self.make_report(kind, reason, self._column(kind), **facts)

    def _column(self, kind: ColumnKind) -> Column:
        normalization = self.asked.normalization if self.asked else None
        return Column(
            name=self.name,
            kind=kind,
            normalization=normalization,
            format=self._format(),
        )

    def _report_constant(self, **facts: Any) -> ColumnReport:
        """One value: a constant, or a category if it is missing in some rows."""
        (value,) = self.few
        kind: ColumnKind = "category" if self.missing else "constant"
        column = Column(
            name=self.name,
            kind=kind,
            categories=(self._spell(value),),
            format=self._format(),
        )
        return self.make_report(kind, "one value", column, **facts)

    def _find_problem(self) -> str:
        is_integer = self.asked is not None and self.asked.kind == "integer"
        what = "a whole number" if is_integer else "a number"
        if self.wrong:
            return refuse_cells(self.source, self.name, self.wrong, self.wrong_count, what)
        if self.infinite:
            return refuse_cells(self.source, self.name, [self.infinite], 1, "a finite number")
        if max(-self.low, self.high) > MAX_SIZE:
            drop = mark(f"data.drop={spell_name(self.name, in_list=True)}")
            largest = f"its values reach {max(-self.low, self.high):.3g}"
            remedy = f"change its unit, or leave it out with {drop}"
            what = f"{self.source}: column {shorten(self.name)}"
            return f"{what}: {largest}, and float64 cannot hold their squares: {remedy}"
        if is_integer and not self.is_whole:
            cells = find_cells(self.source, self.name, self._is_broken)
            return refuse_cells(self.source, self.name, cells, len(cells), what)
        return ""

    def _is_broken(self, cells: Any) -> Array:
        values = self.parse(cells).values
        broken: Array = ~np.isnan(values) & (values != np.floor(values))
        return broken

    def _explain_id(self) -> str:
        """Why the numbers tell rows apart and nothing else; empty if they do not."""
        if self.counts and not self.missing and self.known >= MIN_COUNTED and self.low in {0, 1}:
            return f"it counts the rows from {self.low:.0f}"
        if self.missing or self.known < MIN_COUNTED or not self.is_whole or not self.whole_values:
            return ""
        values = np.concatenate(self.whole_values)
        is_unique = len(values) == self.known == len(np.unique(values))
        return "its whole numbers are unique, and its name is that of an id" if is_unique else ""

    def _is_category(self) -> bool:
        few, spelling = len(self.few), self.parser.spelling
        is_counted = self.is_whole and spelling.is_unmarked and self.decimals is not None
        return is_counted and few <= MAX_FEW and self.known >= ROWS_A_VALUE * few

    def _spell(self, value: float) -> str:
        column = Column(name=self.name, format=self._format())
        return spell(column, [value], self.source.decimal)[0]

    def _min_decimals(self) -> int:
        """Those that all cells have; of numbers with any decimals, only the zero of `5.0`."""
        return min(self.min_decimals, 1 if self.decimals is None else self.decimals)

    def _format(self) -> CellFormat:
        spelling, example = self.parser.spelling, self.examples[0] if self.examples else ""
        space = " " if re.search(rf"[{SPACES}]", example.strip(spelling.thousands or None)) else ""
        return CellFormat(
            decimals=self.decimals,
            prefix=spelling.prefix and spelling.prefix + space,
            suffix=spelling.suffix and space + spelling.suffix,
            thousands=spelling.thousands,
            min_decimals=self._min_decimals(),
            missing=self.missing_text,
        )


def has_leading_zeros(texts: Any) -> bool:
    """Whether a text such as `01234` is among them, which is no number but a code."""
    data, ends = characters(texts)
    starts = ends[:-1][np.diff(ends) > 1]
    after_zero = data[starts[data[starts] == ord("0")] + 1]
    return bool(((after_zero >= ord("0")) & (after_zero <= ord("9"))).any())


def count_decimals(texts: Any, spelling: NumberSpelling) -> tuple[int, int | None]:
    """The smallest and the largest number of digits after the decimal sign.

    The largest is None if there is an exponent.
    """
    if spelling.suffix:
        texts = pc.replace_substring_regex(texts, f"[{SPACES}]*{re.escape(spelling.suffix)}$", "")
    data, ends = characters(texts)
    signs = np.flatnonzero(data == ord(spelling.decimal))
    if not len(signs):
        return 0, 0
    is_everywhere = len(signs) == len(ends) - 1
    cells = slice(1, None) if is_everywhere else np.searchsorted(ends, signs, "right")
    digits = ends[cells] - signs - 1
    least, most = int(digits.min()) if is_everywhere else 0, int(digits.max())
    if most and ((data | LOWER_CASE) == ord("e")).any():
        return 0, None
    return least, most


def decimals_of(values: Array) -> int | None:
    """The smallest number of decimals with which values are exact; None if there is none."""
    return next(
        (count for count in range(MAX_DECIMALS + 1) if (values.round(count) == values).all()), None
    )


@final
class DateObserver(Observer):
    """Guesses that all cells are dates of one pattern."""

    def __init__(self, source: TableSource, name: str, asked: AskedKind | None) -> None:
        super().__init__(source, name, asked)
        self.parser = DateParser(asked.pattern if asked else "")
        self.low, self.high = math.inf, -math.inf
        self.is_whole_days = self.is_whole_seconds = True
        self.is_typed, self.decimals = False, 0
        self.outside: list[tuple[int, str]] = []

    def parse(self, cells: Any) -> Parsed:
        """The seconds since 1970."""
        self.is_typed = pa.types.is_timestamp(cells.type)
        if self.is_typed:
            return Parsed(to_seconds(cells))
        if not pa.types.is_string(cells.type):
            return Parsed(np.full(len(cells), np.nan), np.ones(len(cells), np.bool_))
        return self.parser.parse(cells)

    def watch(self, cells: Any, values: Array) -> bool:  # noqa: ARG002  the values are enough
        """Learn the range."""
        known = values[~np.isnan(values)]
        if len(known) == 0:
            return True
        self.low, self.high = min(self.low, known.min()), max(self.high, known.max())
        self.is_whole_days = self.is_whole_days and bool((known % SECONDS_A_DAY == 0).all())
        self.is_whole_seconds = self.is_whole_seconds and bool((known % 1 == 0).all())
        if not self.is_whole_seconds:
            found = decimals_of(np.round(known[:LOOKED_AT] % 1, MICRO_DIGITS))
            self.decimals = max(self.decimals, MICRO_DIGITS if found is None else found)
        outside = (values < OLDEST_DATE) | (values >= NEWEST_DATE)
        for place in first_places(outside, MAX_WRONG - len(self.outside)):
            self.outside.append((self.rows + place, str(values[place])))
        return True

    def report(self) -> ColumnReport:
        """A date or a constant."""
        if self.known == 0:
            return self.make_report("empty", "it has no value")
        pattern = self._pattern() if self.is_typed else self.parser.pattern
        if self.wrong:
            what = f"a date such as {say_date(pattern)}"
            problem = refuse_cells(self.source, self.name, self.wrong, self.wrong_count, what)
            return self.make_report("date", "dates", problem=problem)
        if self.outside:
            what = "a date of the years 1 to 9999"
            cells = [(row, f"{text} seconds") for row, text in self.outside]
            problem = refuse_cells(self.source, self.name, cells, len(cells), what)
            return self.make_report("date", "dates", problem=problem)
        decimals = self.decimals if "%f" in pattern else None
        format_ = CellFormat(date=pattern, missing=self.missing_text, decimals=decimals)
        dates = Column(name=self.name, kind="date", format=format_)
        low, high = spell(dates, [self.low, self.high])
        is_constant = self.low == self.high and not self.missing
        column = Column(
            name=self.name,
            kind="constant" if is_constant else "date",
            categories=(low,) if is_constant else (),
            normalization=self.asked.normalization if self.asked else None,
            format=format_,
        )
        reason = "one date" if is_constant else f"dates such as {pattern}"
        note = self._say_order()
        return self.make_report(column.kind, reason, column, low=low, high=high, note=note)

    def _say_order(self) -> str:
        """Which of day and month is taken for the first one, if both may be."""
        other = "" if self.asked else self.parser.other_pattern
        if not other:
            return ""
        again = mark(f"data.columns={spell_name(f'{self.name}=date:{other}', in_list=True)}")
        return (
            f"column {shorten(self.name)}: {self.parser.example} is read as "
            f"{self.parser.pattern}, and may be {other}: {again}"
        )

    def _pattern(self) -> str:
        if self.low >= 0 and self.high < SECONDS_A_DAY and not self.is_whole_days:
            return "%H:%M:%S"
        time = "" if self.is_whole_days else " %H:%M:%S"
        return "%Y-%m-%d" + time + ("" if self.is_whole_seconds else ".%f")


@final
class TextObserver(Observer):
    """Takes all cells for texts, and counts how often each occurs."""

    def __init__(self, source: TableSource, name: str, asked: AskedKind | None) -> None:
        super().__init__(source, name, asked)
        self.counts: dict[str, int] = {}
        self.places: dict[str, int] = {}
        self.last_places: Array | None = None
        self.is_unique = True
        self.type: Any = None

    def parse(self, cells: Any) -> Parsed:  # noqa: ARG002  which have no numbers
        """Nothing."""
        return NOTHING

    def watch(self, cells: Any, values: Array) -> bool:  # noqa: ARG002  there are none
        """Count the texts, up to a limit."""
        self.type = cells.type
        if not is_countable(cells.type):
            return True
        counted = count_values(cells)
        different = set(counted.values)
        self.is_unique = self.is_unique and len(different) == len(cells) - cells.null_count
        if len(self.counts) <= MAX_CLASSES:
            self._count(counted)
        return True

    def _count(self, counted: Counted) -> None:
        texts = [spell_value(value) for value in counted.values]
        for text, count in zip(texts, counted.counts, strict=True):
            self.is_unique = self.is_unique and text not in self.counts
            self.counts[text] = self.counts.get(text, 0) + count
            self.places.setdefault(text, len(self.places))
        self.last_places = np.array([*map(self.places.__getitem__, texts), np.nan])[counted.places]

    def recall(self, values: Array) -> Array | None:  # noqa: ARG002  there are none
        """The places of the last texts, unless there are too many."""
        return self.last_places if len(self.counts) <= MAX_CLASSES else None

    @property
    def texts(self) -> Sequence[str]:
        """The different texts."""
        return tuple(self.places)

    def report(self) -> ColumnReport:
        """A category, an id, or texts about which the user decides."""
        count = len(self.counts) if len(self.counts) <= MAX_CLASSES else None
        if self.type is not None and not is_countable(self.type):
            return self.make_report("text", f"cells of {self.type}", problem=self._advise())
        if self.known == 0:
            return self.make_report("empty", "it has no value")
        return self._report_asked(count) if self.asked else self._report_found(count)

    def _report_found(self, count: int | None) -> ColumnReport:
        reason = "unique texts" if self.is_unique else f"{self._say_count()} texts"
        kind: FileKind = "text"
        problem, column = self._find_mixture(), None
        if problem:
            reason = f"{reason}, most of them of another kind"
        elif count == 1 and not self.missing:
            kind, reason = "constant", "one text"
        elif self.is_unique and self.known > 1:
            kind = "id"
        elif count is not None and self._is_category(count):
            kind = "category"
        else:
            reason, problem = f"{reason} in {self.known:,} rows", self._advise()
        if kind in {"constant", "category"}:
            column = self._column(cast("ColumnKind", kind))
        return self.make_report(kind, reason, column, distinct=count, problem=problem)

    def _report_asked(self, count: int | None) -> ColumnReport:
        if self.asked is not None and self.asked.kind == "id":
            is_index = self.name == self.source.index_name
            counts_rows = is_index and all(to_number(text) is not None for text in self.examples)
            return self.make_report("id", "", distinct=count, counts_rows=counts_rows)
        if count is None:
            problem = (
                f"{self.source}: column {shorten(self.name)} has over {MAX_CLASSES:,} texts, too "
                f"many for a category: leave it out with {self._mark('data.drop')}"
            )
            return self.make_report("text", "", problem=problem)
        return self.make_report("category", "", self._column("category"), distinct=count)

    def _is_category(self, count: int) -> bool:
        return count <= MAX_FEW or (count <= MAX_CATEGORIES and 2 * count <= self.known)

    def _say_count(self) -> str:
        count = len(self.counts)
        return f"{count:,}" if count <= MAX_CLASSES else f"over {MAX_CLASSES:,}"

    def _column(self, kind: ColumnKind) -> Column:
        return Column(
            name=self.name,
            kind=kind,
            categories=tuple(sort_texts(self.counts)),
            format=CellFormat(missing=self.missing_text),
        )

    def _mark(self, key: str, kind: str = "") -> str:
        """A setting that names this column."""
        return mark(f"{key}={spell_name(self.name + kind, in_list=True)}")

    def _advise(self) -> str:
        """What to do about a column of texts that are neither an id nor a category."""
        what = f"{self.source}: column {shorten(self.name)} has "
        if self.type is not None and not is_countable(self.type):
            return what + f"cells of {self.type}: leave it out with {self._mark('data.drop')}"
        what += f"{self._say_count()} different texts in {self.known:,} rows: leave it out with "
        advice = self._mark("data.drop")
        if len(self.counts) <= MAX_CLASSES:
            advice += f", or learn them with {self._mark('data.columns', '=category')}"
        return what + advice

    def _find_mixture(self) -> str:
        """The problem of a column of numbers or dates with some other cells; empty if it is none.

        Also that of numbers with the other decimal sign than the table has.
        """
        if len(self.counts) <= MAX_FEW:
            return self._find_other_decimal(pa.array(list(self.counts), pa.string()))
        texts, weights = pa.array(list(self.counts), pa.string()), np.array([*self.counts.values()])
        numbers = NumberParser(self.source.decimal, self.source.delimiter).parse(texts).wrong
        dates = DateParser().parse(texts).wrong
        is_number = np.array([to_number(text) is not None for text in self.counts])
        guesses = [("a number", numbers, is_number), ("a date", dates, None)]
        least = UNIQUE_SHARE if self.is_unique else MIXED_SHARE
        for what, wrong, right in guesses:
            if wrong is None or has_leading_zeros(texts):
                continue
            share = weights[~wrong if right is None else right].sum() / weights.sum()
            if share >= least and not (other := self._find_other_decimal(texts)):
                return self._describe_mixture(texts.filter(pa.array(wrong)), weights[wrong], what)
            if share >= least:
                return other
        return self._find_other_decimal(texts)

    def _describe_mixture(self, texts: Any, weights: Array, what: str) -> str:
        cells = find_cells(
            self.source, self.name, lambda some: to_mask(pc.is_in(some, value_set=texts))
        )
        problem = refuse_cells(self.source, self.name, cells, int(weights.sum()), what)
        kind = "=id" if self.is_unique else "=category"
        return f"{problem}: correct them, or try {self._mark('data.columns', kind)}"

    def _find_other_decimal(self, texts: Any) -> str:
        if self.source.delimiter == "," or not self.source.is_text:
            return ""
        decimal = self.source.decimal
        if NumberParser(OTHER_SIGN[decimal], self.source.delimiter).parse(texts).wrong is not None:
            return ""
        sign = "comma" if decimal == "," else "point"
        cells = find_cells(self.source, self.name, lambda some: to_mask(pc.is_valid(some)))
        why = f", because the decimal sign of the table is a {sign}"
        return refuse_cells(self.source, self.name, cells[:1], 1, "a number") + why


def is_countable(kind: Any) -> bool:
    """Whether cells of this type of Arrow can be categories."""
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_null(kind)
    )


def say_date(pattern: str) -> str:
    """An example of a pattern, for messages."""
    column = Column(name="", kind="date", format=CellFormat(date=pattern or "%Y-%m-%d"))
    return spell(column, [0])[0]


def refuse_cells(
    source: TableSource, name: str, cells: Sequence[tuple[int, str]], count: int, what: str
) -> str:
    """A message about cells that are something else: the first three with their rows.

    Args:
        source: of the table.
        name: of the column.
        cells: the place of a row, from 0, and its text.
        count: how many there are.
        what: what they should be.
    """
    (place, text), *others = cells[:MAX_WRONG]
    listed = [f"row {source.first_number + row} {shorten(one)!r}" for row, one in others]
    more = count - len(cells[:MAX_WRONG])
    listed += [f"{more:,} more"] if more > 0 else []
    also = f" (nor {'is' if len(listed) == 1 else 'are'} {', '.join(listed)})" if listed else ""
    return f"{source.name_cell(place, name)}: {shorten(text)!r} is not {what}{also}"


def find_cells(
    source: TableSource, name: str, is_wrong: Callable[[Any], Array]
) -> list[tuple[int, str]]:
    """The first cells of a column for which something holds, with their places from 0."""
    found: list[tuple[int, str]] = []
    start = 0
    with closing(source.batches([name])) as batches:
        for (array,) in batches:
            cells = with_nulls(array) if pa.types.is_string(array.type) else array
            for place in first_places(is_wrong(cells), MAX_WRONG - len(found)):
                found.append((start + place, spell_value(cells[place].as_py())))
            if len(found) == MAX_WRONG:
                break
            start += len(array)
    return found


GUESSES: tuple[type[Observer], ...] = (NumberObserver, DateObserver, TextObserver)
OBSERVERS: Mapping[str, type[Observer]] = {
    "number": NumberObserver,
    "integer": NumberObserver,
    "date": DateObserver,
    "category": TextObserver,
    "id": TextObserver,
}


@final
class Watched:
    """A column while it is read: the guess that holds so far, and those that are left."""

    def __init__(self, source: TableSource, name: str, asked: AskedKind | None) -> None:
        kinds = GUESSES if asked is None else (OBSERVERS[asked.kind],)
        self.guesses = [kind(source, name, asked) for kind in kinds]
        self.is_refuted = self.is_kept = False

    def add(self, array: Any, kept: KeptCells | None) -> None:
        """Watch the next cells, unless the guess is refuted already, and keep what they are."""
        while not self.is_refuted and not self.guesses[0].add(array):
            self.is_refuted = self.guesses[0].rows > 0
            self.guesses = self.guesses[1:]
        guess = self.guesses[0]
        self.is_kept = self.is_kept and not self.is_refuted and guess.values is not None
        if self.is_kept and kept is not None and guess.values is not None:
            kept.put(guess.name, guess.rows - len(array), guess.values)


def observe(
    source: TableSource,
    asked: Mapping[str, AskedKind],
    names: Sequence[str],
    kept: KeptCells | None = None,
) -> tuple[ColumnReport, ...]:
    """What the columns of a table are.

    Args:
        source: the table.
        asked: what the user says of some of them.
        names: of the columns.
        kept: takes the values that the cells were found to have; None if nobody reads them.
    """
    if source.is_text and source.delimiter != ",":
        source.decimal = find_decimal(first_texts(source, names), source.delimiter)
    watched = {name: Watched(source, name, asked.get(name)) for name in names}
    pending = list(names)
    while pending:
        _watch(source, {name: watched[name] for name in pending}, kept)
        pending = [name for name in pending if watched[name].is_refuted]
    if kept is not None:
        for name in names:
            if watched[name].is_kept:
                kept.finish(name, watched[name].guesses[0].texts)
    return tuple(watched[name].guesses[0].report() for name in names)


def _watch(source: TableSource, watched: Mapping[str, Watched], kept: KeptCells | None) -> None:
    """Watch some columns from their first cell to their last one."""
    for column in watched.values():
        column.is_refuted, column.is_kept = False, kept is not None
    rows = 0
    with closing(source.batches(list(watched))) as batches:
        for arrays in batches:
            rows += len(arrays[0])
            if kept is not None:
                kept.make_room(rows)
            each(lambda column, array: column.add(array, kept), watched.values(), arrays)


def first_texts(source: TableSource, names: Sequence[str]) -> list[str]:
    """The first texts of a table, row by row."""
    with closing(source.batches(names)) as batches:
        arrays = next(batches, ())
    columns = [array.slice(0, LOOKED_AT).to_pylist() for array in arrays]
    return [text for row in zip(*columns, strict=True) for text in row]
