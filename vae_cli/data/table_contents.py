"""The rows of a table as numbers: which columns are read, and what becomes of their cells."""

import dataclasses
import functools
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple, assert_never, cast, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from vae_cli.data.cell_arrays import (
    Array,
    DateParser,
    NumberParser,
    Parsed,
    encode_texts,
    first_places,
    to_floats,
    to_mask,
    to_seconds,
    with_nulls,
)
from vae_cli.data.cells import NO_CLASS, default_columns, find_decimal, sort_texts, to_number
from vae_cli.data.column_kinds import (
    ASKED,
    ColumnReport,
    FileKind,
    first_texts,
    observe,
    refuse_cells,
    say_date,
    spell_value,
)
from vae_cli.data.columns import AskedKind, Column, parse_kinds
from vae_cli.data.dataset import MISSING_ADVICE, Spec, TableRules
from vae_cli.data.held_out import hash_keys
from vae_cli.data.kept_cells import KeptCells
from vae_cli.data.memory import MAX_CLASSES, require_items, require_memory
from vae_cli.data.table_names import MAX_NAMED, require_column, spell_name
from vae_cli.data.table_source import TableSource, each
from vae_cli.errors import UsageError, list_some, mark, plural, shorten

MAX_CLASS_NAME = 1000  # characters
MAX_SHOWN_CATEGORIES = 3
VALUE_BYTES = 8
PART_VALUES = 2**19  # that are taken at a time where they are known
GROWTH = 3  # halves of the rows that are read, for which there is room when more come


@final
@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which columns of a table are read, and as what.

    Attributes:
        columns: what rows have, in their order.
        names: what the table calls these columns.
        label: the column of the classes; empty if it is not read.
        id: the column that stands beside the rows; empty if there is none.
        rules: what is done with missing values, and with the columns that rows do not have.
        reports: what is known of all columns; empty if that is not asked.
        notes: what was assumed about the columns, for the user.
        model: the name of what a trained model learned; empty in a training.
        kept: the values of columns that are known already; None if all are to be read.
        keyed: the places of these columns in the order in which they decide about the part of a
            row; empty for their own order.
    """

    columns: tuple[Column, ...]
    names: tuple[str, ...]
    label: str = ""
    id: str = ""
    rules: TableRules
    reports: tuple[ColumnReport, ...] = ()
    notes: tuple[str, ...] = ()
    model: str = ""
    kept: KeptCells | None = None
    keyed: tuple[int, ...] = ()


class TableContents(NamedTuple):
    """What is in a table.

    Attributes:
        columns: what rows have.
        rows: float64 `(N, D)`; NaN if a value is missing.
        numbers: int64 `(N,)`, which row of the table each of them is, from 0.
        hashes: float64 `(N,)` in [0, 1), by which rows are divided.
        labels: int64 `(N,)`, indices into the classes; `(0,)` if there is no such column.
        classes: the texts in the column of the classes, in their order.
        ids: the texts of the column that tells rows apart, an array of Arrow; None without one.
        left_out: the number of rows that were left out, because a value is missing.
        rules: what was done with missing values, and with the columns that rows do not have.
        reports: what is known of all columns; empty for a trained model.
        notes: what was assumed about the table, for the user.
    """

    columns: tuple[Column, ...]
    rows: Tensor
    numbers: Tensor
    hashes: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    ids: Any
    left_out: int
    rules: TableRules
    reports: tuple[ColumnReport, ...]
    notes: tuple[str, ...] = ()


def survey(
    source: TableSource, rules: TableRules, *, version: int = 3, kept: KeptCells | None = None
) -> tuple[ColumnReport, ...]:
    """What is known of all columns of a table, also of one that cannot be learned.

    Args:
        source: the table.
        rules: which columns are not learned, and what the user says of others.
        version: of the rules of reading; before 3, all columns are numbers, and before 2, an index
            without a name is one too.
        kept: takes the values that the cells were found to have; None if nobody reads them.

    Raises:
        UsageError: a setting names a column that is not there, or none is left to learn.
    """
    asked = _require_columns(source, rules)
    ignored = {rules.label: "label"} | dict.fromkeys(rules.dropped, "dropped")
    names = [name for name in source.names if name not in ignored]
    index = source.index_name if version > 1 else ""
    if version < 3:  # noqa: PLR2004
        asked = dict.fromkeys(names, AskedKind(kind="number"))
    if index in names and (index not in asked or version < 3):  # noqa: PLR2004
        asked = {**asked, index: AskedKind(kind="id")}
    if rules.id:
        asked = {**asked, rules.id: AskedKind(kind="id")}
    found = {report.name: report for report in observe(source, asked, names, kept)}
    if index in found:
        why = "a first column without a name, as pandas and R write their index"
        found[index] = dataclasses.replace(found[index], reason=why)
    return tuple(
        found[name] if name in found else _describe_ignored(name, ignored[name])
        for name in source.names
    )


def _describe_ignored(name: str, kind: str) -> ColumnReport:
    return ColumnReport(name=name, kind=cast("FileKind", kind), reason=ASKED, rows=0)


def _require_columns(source: TableSource, rules: TableRules) -> dict[str, AskedKind]:
    """What the user says of some columns, all of which are there.

    Raises:
        UsageError: one is not there, or two settings are about the same one.
    """
    asked = parse_kinds(rules.kinds)
    settings = [
        *[("data.label", name) for name in [rules.label] if name],
        *[("data.drop", name) for name in rules.dropped],
        *[("data.id", name) for name in [rules.id] if name],
        *[("data.columns", name) for name in asked],
    ]
    seen: dict[str, str] = {}
    for key, name in settings:
        require_column(key, name, source.names, source.source)
        if seen.setdefault(name, key) != key:
            raise UsageError(
                f"{mark(seen[name])} {name} and {mark(key)} {name}: give only one of them"
            )
    if set(source.names) <= {rules.label, *rules.dropped}:
        raise _nothing_left(source)
    return asked


def _nothing_left(source: TableSource) -> UsageError:
    return UsageError(
        f"no column of {source.source} is left to learn: leave out {mark('data.label')} or "
        f"{mark('data.drop')}"
    )


def choose_for_training(source: TableSource, rules: TableRules, *, version: int = 3) -> Choice:
    """All columns that can be learned.

    Args:
        source: the table.
        rules: which columns are not learned, and what the user says of others.
        version: of the rules of reading, as in `survey`.

    Raises:
        UsageError: a setting does not fit the table, a column cannot be learned, or none is left.
    """
    kept = KeptCells(source.names) if source.is_text else None
    reports = survey(source, rules, version=version, kept=kept)
    require_trainable(source, reports)
    columns = tuple(report.column for report in reports if report.column is not None)
    ids = [report.name for report in reports if report.kind == "id"]
    telling = [report.name for report in reports if report.kind == "id" and not report.counts_rows]
    chosen = rules.id or (telling[0] if telling and version > 2 else "")  # noqa: PLR2004
    empty = [report.name for report in reports if report.kind == "empty"]
    left_out = [name for name in (*ids, *empty) if name != chosen]
    return Choice(
        columns=columns,
        names=tuple(column.name for column in columns),
        label=rules.label,
        id=chosen,
        rules=dataclasses.replace(
            rules,
            id=chosen,
            dropped=(*rules.dropped, *(name for name in left_out if version > 2)),  # noqa: PLR2004
            delimiter=source.delimiter,
            decimal=source.decimal,
        ),
        reports=reports,
        notes=tuple(_describe_left_out(source, reports)) + tuple(r.note for r in reports if r.note),
        kept=kept,
    )


def _describe_left_out(source: TableSource, reports: Sequence[ColumnReport]) -> Iterator[str]:
    """What was decided about columns that rows do not have, for the user."""
    for report in reports:
        if report.name == source.index_name and report.kind == "id":
            yield say_index(report.name)
        elif report.kind == "id" and report.reason != ASKED:
            kind = (
                "integer"
                if all(to_number(one) is not None for one in report.examples)
                else "category"
            )
            again = mark(f"data.columns={spell_name(f'{report.name}={kind}', in_list=True)}")
            yield (
                f"{shorten(report.name)} is taken for an id and left out ({report.reason}); "
                f"{again} learns it"
            )
    empty = [report.name for report in reports if report.kind == "empty"]
    if empty:
        yield f"{list_some(empty, MAX_NAMED)}: no row has a value, so nothing is learned of it"


def say_index(name: str) -> str:
    """That a column without a name is left out, for the user."""
    return f"{name} is taken for an index and left out; rename it to learn it"


def require_trainable(source: TableSource, reports: Sequence[ColumnReport]) -> None:
    """Check that all columns of a table can be learned, or need not.

    Raises:
        UsageError: one cannot, and the message says what to do; or none is left.
    """
    problems = [report.problem for report in reports if report.problem]
    if problems:
        more = len(problems) - 1
        others = f"; {plural(more, 'other column')} cannot be learned: vae data shows why"
        raise UsageError(problems[0] + others * (more > 0))
    if not reports[0].rows and all(report.rows == 0 for report in reports):
        raise UsageError(f"{source.source} has a header and no rows")
    if not any(report.column for report in reports):
        raise UsageError(
            f"no column of {source.source} is left to learn, because all are ids or empty: "
            f"{mark('data.columns=NAME=integer')} learns one"
        )


def choose_for_model(spec: Spec, source: TableSource) -> Choice:
    """The columns that a model learned, and its columns of classes and ids if they are there.

    Other columns are ignored, and a note says so unless the model's own table had them.

    Raises:
        UsageError: a column is not there.
    """
    rules, names, learned = spec.table, source.names, spec.column_names
    told = {column.name for column in spec.condition} - set(learned)
    beside = {rules.label, rules.id, *rules.dropped, *told}
    others = [name for name in names if name not in beside]
    without_index = [name for name in others if name != source.index_name]
    choose = functools.partial(Choice, columns=spec.columns, rules=rules, model=spec.name)
    if set(learned) <= set(names):
        known = {*learned, *beside}
        extra = [name for name in without_index if name not in known]
        notes = []
        if source.index_name and source.index_name not in known:
            notes.append(say_index(source.index_name))
        if extra:
            notes.append(
                f"{list_some(extra, MAX_NAMED)}: ignored, because the model of {spec.name} did "
                "not learn such columns"
            )
        label, id_ = (name if name in names else "" for name in (rules.label, rules.id))
        keyed: tuple[int, ...] = ()
        if spec.condition:  # the parts were made before its columns were taken out
            keyed = tuple(sorted(range(len(learned)), key=lambda at: names.index(learned[at])))
        return choose(names=learned, label=label, id=id_, notes=tuple(notes), keyed=keyed)
    unnamed = default_columns(len(learned))
    for some in (others, without_index):
        if unnamed in {tuple(some), learned} and len(some) == len(unnamed):
            return choose(names=tuple(some))
    lacking = list_some([name for name in learned if name not in names], MAX_NAMED)
    raise UsageError(
        f"{source.source} lacks {lacking}: the model learned {plural(len(learned), 'column')} of "
        f"{spec.name}"
    )


class CellReader(ABC):
    """Turns the cells of a column into its numbers, a part at a time.

    Args:
        column: what the numbers mean.
        source: of the table, for messages.
        name: what the table calls the column.
    """

    def __init__(self, column: Column, source: TableSource, name: str) -> None:
        self.column, self.source, self.name = column, source, name

    def read(self, array: Any, start: int) -> Array:
        """The numbers of the next cells, float64; NaN where a value is missing.

        Raises:
            UsageError: a cell is something else than the column.
        """
        cells = with_nulls(array) if pa.types.is_string(array.type) else array
        values, wrong = self.parse(cells)
        if wrong is not None:
            self._refuse(cells, wrong, start, self.what)
        if np.isinf(values).any():
            self._refuse(cells, np.isinf(values), start, "a finite number")
        return values

    def recall(self, values: Array, texts: Sequence[str]) -> Array:  # noqa: ARG002  for categories
        """The same numbers from values that are kept: those of the cells, or places in texts."""
        return values

    @property
    @abstractmethod
    def what(self) -> str:
        """What a cell should be, for messages."""

    @abstractmethod
    def parse(self, cells: Any) -> Parsed:
        """The numbers of cells that are null where a value is missing."""

    def keys(self, values: Array) -> Array:
        """What decides about the part of a row: numbers that do not depend on other cells."""
        return values

    def notes(self) -> Iterator[str]:
        """What was assumed about the cells, for the user."""
        yield from ()

    def _refuse(self, cells: Any, wrong: Array, start: int, what: str) -> None:
        found = [
            (start + place, spell_value(cells[place].as_py())) for place in first_places(wrong)
        ]
        raise UsageError(refuse_cells(self.source, self.name, found, int(wrong.sum()), what))


@final
class NumberReader(CellReader):
    """Reads numbers."""

    what = "a number"

    def __init__(self, column: Column, source: TableSource, name: str) -> None:
        super().__init__(column, source, name)
        self.parser = NumberParser(source.decimal, source.delimiter)

    def parse(self, cells: Any) -> Parsed:
        """The numbers, in any spelling."""
        if pa.types.is_null(cells.type):
            return Parsed(np.full(len(cells), np.nan))
        if pa.types.is_floating(cells.type):
            return Parsed(to_floats(cells))
        if pa.types.is_string(cells.type):
            return self.parser.parse(cells)
        return Parsed(np.full(len(cells), np.nan), np.ones(len(cells), np.bool_))

    def notes(self) -> Iterator[str]:
        """How a number was read that is spelled with more than digits."""
        if self.parser.example:
            text, value = self.parser.example
            yield f"{shorten(text)!r} in column {shorten(self.name)} is read as {value:.12g}"


@final
class DateReader(CellReader):
    """Reads dates as seconds since 1970."""

    def __init__(self, column: Column, source: TableSource, name: str) -> None:
        super().__init__(column, source, name)
        self.parser = DateParser(column.format.date)

    @property
    def what(self) -> str:
        """What a cell should be."""
        return f"a date such as {say_date(self.column.format.date)}"

    def parse(self, cells: Any) -> Parsed:
        """The seconds."""
        if pa.types.is_timestamp(cells.type):
            return Parsed(to_seconds(cells))
        if pa.types.is_string(cells.type):
            return self.parser.parse(cells)
        is_known = ~np.isnan(to_floats(pc.is_valid(cells).cast(pa.float64()).fill_null(0)))
        return Parsed(np.full(len(cells), np.nan), is_known)


@final
class CategoryReader(CellReader):
    """Reads texts as the indices of categories; a text that is none of them is missing.

    A number is also found in another spelling, such as `1.0` for `1`.
    """

    def __init__(self, column: Column, source: TableSource, name: str, model: str) -> None:
        super().__init__(column, source, name)
        self.model = model
        self.codes: dict[str | float, float] = {
            text: float(code) for code, text in enumerate(column.categories)
        }
        numbers = [(to_number(text), float(n)) for n, text in enumerate(column.categories)]
        for number, code in numbers:
            if number is not None:
                self.codes.setdefault(number, code)
        texts = column.categories
        self.key_of = np.array([*map(key_of_text, texts), np.nan])
        self.unknown: Counter[str] = Counter()
        self.found = 0

    @property
    def what(self) -> str:
        """What a cell should be."""
        listed = list_some(self.column.categories, MAX_SHOWN_CATEGORIES)
        return f"one of the categories {listed}"

    def parse(self, cells: Any) -> Parsed:
        """The indices."""
        if pa.types.is_null(cells.type):
            return Parsed(np.full(len(cells), np.nan))
        codes = encode_texts(cells, self._code_of)
        unknown = np.isnan(codes) & to_mask(pc.is_valid(cells))
        if unknown.any():
            self.unknown.update(map(spell_value, cells.filter(pa.array(unknown)).to_pylist()))
        self.found += int((~np.isnan(codes)).sum())
        return Parsed(codes)

    def recall(self, values: Array, texts: Sequence[str]) -> Array:
        """The indices of numbers or of texts, none of which is unknown."""
        missing = np.isnan(values)
        if texts:
            codes = np.array([*map(self._code_of, texts), np.nan])
            return codes[np.where(missing, len(texts), values).astype(np.int64)]
        parser = NumberParser(self.source.decimal, self.source.delimiter)
        numbers = parser.parse(pa.array(self.column.categories, pa.string())).values
        return np.where(missing, np.nan, np.searchsorted(numbers, values))

    def _code_of(self, value: str | float) -> float:
        if value not in self.codes:
            number = to_number(value) if isinstance(value, str) else value
            self.codes[value] = math.nan if number is None else self.codes.get(number, math.nan)
        return self.codes[value]

    def keys(self, values: Array) -> Array:
        """What the texts decide, whatever their indices are."""
        places = np.where(np.isnan(values), len(self.key_of) - 1, values)
        return self.key_of[places.astype(np.int64)]

    def notes(self) -> Iterator[str]:
        """The texts that a model has never seen.

        Raises:
            UsageError: no cell is one of the categories, so the column means something else.
        """
        if not self.unknown:
            return
        shown = [f"{text} ({count:,})" for text, count in self.unknown.most_common(MAX_NAMED)]
        more = len(self.unknown) - len(shown)
        listed = ", ".join(map(shorten, shown)) + (f" and {more:,} more" if more > 0 else "")
        if not self.found and self.column.kind == "category":
            raise UsageError(
                f"{self.source.source}: column {shorten(self.name)} holds {listed}, and no cell is "
                f"{self.what} that the model of {self.model} learned"
            )
        cells = plural(self.unknown.total(), "cell")
        counts = "counts" if self.unknown.total() == 1 else "count"
        yield (
            f"column {shorten(self.name)}: {cells} with a category that the model of {self.model} "
            f"never saw {counts} as missing: {listed}"
        )


@final
class ConstantReader(CellReader):
    """Reads a column that never changes, of which nothing is learned, as 0."""

    what = "a constant"

    def __init__(self, column: Column, source: TableSource, name: str) -> None:
        super().__init__(column, source, name)
        self.key = key_of_text(column.categories[0])

    def parse(self, cells: Any) -> Parsed:
        """Zeros."""
        return Parsed(np.zeros(len(cells)))

    def recall(self, values: Array, texts: Sequence[str]) -> Array:  # noqa: ARG002  all are equal
        """Zeros."""
        return np.zeros(len(values))

    def keys(self, values: Array) -> Array:
        """What the one value decides."""
        return np.full(len(values), self.key)


def key_of_text(text: str) -> float:
    """Eight bytes that stand for a category: its number, or else the hash of its text."""
    number = to_number(text)
    if number is not None:
        return number
    return float(np.frombuffer(blake2b(text.encode(), digest_size=VALUE_BYTES).digest())[0])


def make_reader(column: Column, source: TableSource, name: str, model: str) -> CellReader:
    """What reads the cells of a column."""
    match column.kind:
        case "number" | "integer":
            return NumberReader(column, source, name)
        case "date":
            return DateReader(column, source, name)
        case "category":
            return CategoryReader(column, source, name, model)
        case "constant":
            return ConstantReader(column, source, name)
        case _:
            assert_never(column.kind)


@final
class LabelCollector:
    """Collects the classes of rows, and the texts that tell them apart.

    Args:
        source: of the table, for messages.
        name: of the column of the classes; empty if there is none.
    """

    def __init__(self, source: TableSource, name: str) -> None:
        self.source, self.name = source, name
        self.codes: dict[str, float] = {}
        self.parts: list[Array] = []

    def add(self, array: Any) -> None:
        """Add the classes of the next rows."""
        cells = array.fill_null("") if pa.types.is_string(array.type) else array
        codes = encode_texts(cells, self._code_of)
        if np.isnan(codes).any():
            codes = np.where(np.isnan(codes), self._code_of(""), codes)
        self.parts.append(codes)
        if len(self.codes) > MAX_CLASSES:
            raise UsageError(
                f"column {self.name} of {self.source.source} has over {MAX_CLASSES:,} classes"
            )

    def _code_of(self, value: str | float) -> float:
        text = spell_value(value) or NO_CLASS
        if len(text) > MAX_CLASS_NAME:
            raise UsageError(
                f"{self.source.source}: a class in column {self.name} has over "
                f"{MAX_CLASS_NAME:,} characters: leave the column out with {mark('data.drop')}"
            )
        return self.codes.setdefault(text, float(len(self.codes)))

    def finish(self) -> tuple[Tensor, tuple[str, ...]]:
        """The index of each row's class, and the classes: numbers in their order come first."""
        if not self.codes:
            return torch.empty(0, dtype=torch.int64), ()
        names = sort_texts(self.codes)
        places = np.empty(len(names), np.int64)
        for place, name in enumerate(names):
            places[int(self.codes[name])] = place
        return torch.from_numpy(places[np.concatenate(self.parts).astype(np.int64)]), tuple(names)


def read_contents(source: TableSource, choice: Choice) -> TableContents:
    """The rows of a table.

    Raises:
        UsageError: a cell is something else than its column, a value is missing and that is an
            error, no row is left, or the rows are too many or too large.
    """
    if choice.model and source.is_text and source.delimiter != ",":  # a training knows it already
        source.decimal = find_decimal(first_texts(source, choice.names), source.delimiter)
    readers = [
        make_reader(column, source, name, choice.model)
        for column, name in zip(choice.columns, choice.names, strict=True)
    ]
    collector = RowCollector(source, choice, readers)
    if names := (*collector.unknown, *(name for name in (choice.label, choice.id) if name)):
        with closing(source.batches(names)) as batches:
            for arrays in batches:
                collector.add(len(arrays[0]), arrays)
        return collector.finish()
    total, length = collector.counted, max(PART_VALUES // len(readers), 1)
    for start in range(0, total, length):
        collector.add(min(length, total - start), ())
    return collector.finish()


@final
class RowCollector:
    """Collects the rows of a table.

    Args:
        source: the table.
        choice: the columns that are read.
        readers: of these columns.
    """

    def __init__(self, source: TableSource, choice: Choice, readers: Sequence[CellReader]) -> None:
        self.source, self.choice, self.readers = source, choice, readers
        self.labels = LabelCollector(source, choice.label)
        self.counted = max((report.rows for report in choice.reports), default=0)
        self.known = choice.kept if choice.kept and choice.kept.texts else None
        self.texts = self.known.texts if self.known else {}
        self.unknown = [name for name in choice.names if name not in self.texts]
        self.memory: Array = (
            self.known.rows if self.known else np.empty((self.counted, len(readers)))
        )
        self.hashes: list[Tensor] = []
        self.numbers: list[Array] = []
        self.ids: list[Any] = []
        self.seen = self.kept = self.blank = 0

    def add(self, length: int, arrays: Sequence[Any]) -> None:
        """Add the next rows: columns that are not kept, and then those of the classes and the ids.

        Raises:
            UsageError: as in `read_contents`.
        """
        cells = self._gather(length, arrays)
        rows = self._make_room(length)
        each(functools.partial(self._read, rows), range(len(cells)), cells)
        kept = self._choose(rows)
        beside = list(arrays[len(self.unknown) :])
        if not kept.all():
            count = int(kept.sum())
            rows[:count] = rows[kept]
            rows = rows[:count]
            beside = [array.filter(pa.array(kept)) for array in beside]
        if self.choice.label:
            self.labels.add(beside.pop(0))
        if self.choice.id:
            self.ids.append(beside.pop(0))
        self.numbers.append(self.seen + np.flatnonzero(kept))
        self.hashes.append(hash_keys(to_bytes(self._keys(rows))))
        self.seen, self.kept = self.seen + length, self.kept + len(rows)
        require_items(self.seen, self.source.source)

    def _gather(self, count: int, arrays: Sequence[Any]) -> list[Any]:
        """The next cells of each column, or the values that are known of them."""
        cells = dict(zip(self.unknown, arrays, strict=False))
        if self.known:
            cells |= self.known.take(list(self.texts), self.seen, count)
        return [cells[name] for name in self.choice.names]

    def _make_room(self, count: int) -> Array:
        """The place of the next rows, in memory that grows where it lies.

        It may be the memory of the values that are known, which are taken from it before.
        """
        needed, width = self.kept + count, len(self.readers)
        require_memory(VALUE_BYTES * width * needed, self.source.source)
        if needed * width > self.memory.size:
            capacity = max(needed, GROWTH * self.memory.size // (2 * width))
            self.memory.resize((capacity, width), refcheck=False)
        place = self.memory.reshape(-1)[self.kept * width : needed * width]
        return place.reshape(count, width)

    def _read(self, rows: Array, place: int, cells: Any) -> None:
        reader = self.readers[place]
        rows[:, place] = (
            reader.recall(cells, self.texts[reader.name])
            if isinstance(cells, np.ndarray)
            else reader.read(cells, self.seen)
        )

    def _choose(self, rows: Array) -> Array:
        """Which rows are kept: those without any value are no rows."""
        missing = np.isnan(rows)
        kept: Array = np.ones(len(rows), np.bool_)
        if not missing.any():
            return kept
        blank = missing.all(1) if rows.shape[1] > 1 else ~kept
        self.blank += int(blank.sum())
        holes = missing.any(1) & ~blank
        if self.choice.rules.missing == "error" and holes.any():
            self._refuse_hole(rows, int(holes.argmax()))
        kept &= ~blank
        return kept & ~holes if self.choice.rules.missing == "drop" else kept

    def _refuse_hole(self, rows: Array, row: int) -> None:
        """Name the first missing value.

        Raises:
            UsageError: it is an error.
        """
        place = int(np.isnan(rows[row]).argmax())
        cell = self.source.name_cell(self.seen + row, self.choice.names[place])
        reader = self.readers[place]
        if isinstance(reader, CategoryReader) and reader.unknown:
            raise UsageError(f"{cell}: {next(iter(reader.unknown))!r} is not {reader.what}")
        advice = MISSING_ADVICE[not self.choice.model]
        raise UsageError(f"{cell}: a value is missing: {advice}")

    def _keys(self, rows: Array) -> Array:
        """What decides about the part of each row."""
        keys = self._keys_by_column(rows)
        return np.ascontiguousarray(keys[:, self.choice.keyed]) if self.choice.keyed else keys

    def _keys_by_column(self, rows: Array) -> Array:
        if all(reader.column.is_measured for reader in self.readers):
            return rows
        keys = np.empty_like(rows)
        for place, reader in enumerate(self.readers):
            keys[:, place] = reader.keys(rows[:, place])
        return keys

    def finish(self) -> TableContents:
        """All rows.

        Raises:
            UsageError: there are none.
        """
        source, choice = self.source.source, self.choice
        if self.seen == self.blank:
            raise UsageError(f"{source} has a header and no rows")
        if not self.kept:
            raise UsageError(f"{source}: a value is missing in every row, so none is left")
        self.memory.resize((self.kept, len(self.readers)), refcheck=False)
        labels, classes = self.labels.finish()
        spelled = [note for reader in self.readers for note in reader.notes()]
        return TableContents(
            columns=choice.columns,
            rows=torch.from_numpy(self.memory),
            numbers=torch.from_numpy(np.concatenate(self.numbers)),
            hashes=torch.cat(self.hashes),
            labels=labels,
            classes=classes,
            ids=pa.chunked_array(self.ids) if choice.id else None,
            left_out=self.seen - self.blank - self.kept,
            rules=choice.rules,
            reports=choice.reports,
            notes=(*self.source.notes, *choice.notes, *spelled),
        )


def to_bytes(rows: Array) -> list[bytes]:
    """The bytes of each row."""
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))
    return cast("list[bytes]", whole.ravel().tolist())
