"""The file of a table: `.csv` with commas, semicolons, tabs or bars between the cells, or `.tsv`.

It is read row by row: what is in memory is one line of it, and 8 bytes for each value. Everything
that is assumed about the file as a whole, such as the encoding of its characters and what separates
its cells, is decided here, from its bytes and its first lines, and said in a note.
"""

import codecs
import csv
import functools
import os
import re
from array import array
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from itertools import chain, islice
from math import isnan
from pathlib import Path
from typing import BinaryIO, NamedTuple, final

import torch
from torch import Tensor

from vae_cli.data.cells import CellParser, TextCellError, spell_name, to_number
from vae_cli.data.dataset import DEFAULT_TABLE, Progress, ignore_progress
from vae_cli.data.memory import MAX_CLASSES, require_items, require_memory
from vae_cli.data.table_columns import Choice, Choose, choose_for_training, lay_out
from vae_cli.errors import MAX_SHOWN, UsageError, mark, shorten
from vae_cli.files import open_file

MARKS = (  # that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ZIP_MARK = b"PK\x03\x04"
HEAD = 4096  # bytes that tell UTF-16 from UTF-8, and texts from other files
CHUNK = 2**20  # bytes that are decoded at a time
DELIMITERS = "\t;|,"  # a comma may be a decimal sign, so it comes last
TEXT_CONTROLS = frozenset(b"\t\n\x0b\x0c\r")
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # how Excel is told
NO_CLASS = "(none)"  # of a row whose cell in the column of the classes is empty
MAX_CLASS_NAME = 1000  # characters
MISSING_ADVICE = {  # in a training, and for a trained model
    True: (
        f"{mark('data.missing=drop')} leaves out such rows, {mark('data.missing=mean')} "
        "fills them in"
    ),
    False: f"fill it in, because the model was trained with {mark('data.missing=error')}",
}
CHECKED_ROWS = 4096  # between two checks of the budgets
MAX_LINE = 2**24  # characters
HEAD_LINES = 20  # that tell how the file is divided into columns
HEAD_LENGTH = 2**20  # characters
REPORTED_ROWS = 4096  # between two reports of the progress
ALL_COLUMNS: Choose = functools.partial(choose_for_training, DEFAULT_TABLE)


class Encoding(NamedTuple):
    """How bytes become characters.

    Attributes:
        name: for Python.
        note: for the user, if it was assumed; empty if not.
    """

    name: str
    note: str = ""


def find_encoding(file: BinaryIO, path: Path) -> Encoding:
    """The encoding of a text, which is read from its start to its end, but not kept.

    Raises:
        UsageError: it is no text.
    """
    head = file.read(HEAD)
    if head.startswith(ZIP_MARK):
        raise UsageError(f"{path} is an archive or a spreadsheet, not a text: save it as CSV")
    for beginning, name in MARKS:
        if head.startswith(beginning):
            wide = not name.startswith("utf-8")
            return Encoding(name, f"it is in {name.upper()}" if wide else "")
    for name, high_bytes in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if 2 * high_bytes.count(0) > max(len(high_bytes), 1):
            return Encoding(name, "read as UTF-16, because every other byte is 0")
    file.seek(0)
    if _is_utf8(file):
        return Encoding("utf-8")
    if not all(byte >= ord(" ") or byte in TEXT_CONTROLS for byte in head):
        raise UsageError(f"{path} is not a text: save the table as CSV in UTF-8")
    return Encoding("cp1252", "read as Windows-1252 (Latin-1), because it is not UTF-8")


def _is_utf8(file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def find_delimiter(lines: Sequence[str], path: Path) -> str:
    """The character between the cells: one of the first line that every other line has too."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    outside_quotes = "".join("".join(lines).split('"')[::2])
    rows = [line for line in outside_quotes.splitlines() if line.strip()]
    found = [char for char in DELIMITERS if any(char in row for row in rows[:1])]
    everywhere = [char for char in found if all(char in row for row in rows)]
    return (everywhere or found or [","])[0]


def read_separator_line(line: str) -> str | None:
    """The delimiter that a first line such as `sep=;` names; None if it is another line."""
    found = SEPARATOR_LINE.fullmatch(line)
    return found[1] if found else None


class TableContents(NamedTuple):
    """What is in the file of a table.

    Attributes:
        columns: the names of the columns of numbers.
        rows: the numbers, float64 `(N, D)`; NaN if a value is missing.
        numbers: int64 `(N,)`, which row of the file each of them is, from 0, without the header.
        labels: int64 `(N,)`, indices into the classes; `(0,)` if there is no such column.
        classes: the texts in the column of the classes, in their order.
        left_out: the number of rows that were left out, because a value is missing.
        notes: what was assumed about the file, for the user.
    """

    columns: tuple[str, ...]
    rows: Tensor
    numbers: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    left_out: int
    notes: tuple[str, ...] = ()


@final
class RowCollector:
    """Collects the rows of a table.

    Args:
        path: of the table, for messages.
        columns: the names of all its columns.
        choice: which of them are read.
        delimiter: of the cells.
    """

    def __init__(
        self, path: Path, columns: tuple[str, ...], choice: Choice, delimiter: str
    ) -> None:
        self.path, self.columns, self.choice = path, columns, choice
        self.reads_all = list(choice.columns) == list(range(len(columns)))
        self.parser = CellParser(delimiter)
        self.values, self.numbers, self.labels = array("d"), array("q"), array("q")
        self.codes: dict[str, int] = {}
        self.seen = 0

    def add(self, number: int, row: Sequence[str]) -> None:
        """Add a row; `number` is its place in the file, for messages.

        Raises:
            UsageError: it has too few or too many cells, a cell is not a number, or the rows are
                too many or too large.
        """
        if len(row) != len(self.columns):
            row = self._cut(number, row)
        cells = row if self.reads_all else [row[place] for place in self.choice.columns]
        values = self.parser.parse_row(cells)
        if values is None:
            values = list(self._parse_cells(number, cells))
            is_left_out = self.choice.missing == "drop" and any(map(isnan, values))
            values = None if is_left_out else values
        if values is not None:
            self._keep(values, row)
        self.seen += 1
        if self.seen % CHECKED_ROWS == 0:
            self._require_affordable()

    def _cut(self, number: int, row: Sequence[str]) -> Sequence[str]:
        """A row without the empty cells after its last column."""
        count = len(self.columns)
        if len(row) < count or any(map(str.strip, row[count:])):
            raise UsageError(f"{self._name(number)} has {len(row)} cells, not {count}")
        return row[:count]

    def _keep(self, values: Sequence[float], row: Sequence[str]) -> None:
        self.values.extend(values)
        if self.choice.missing == "drop":
            self.numbers.append(self.seen)
        if self.choice.label is not None:
            name = row[self.choice.label].strip() or NO_CLASS
            if len(name) > MAX_CLASS_NAME:
                column = self.columns[self.choice.label]
                raise UsageError(
                    f"{self.path}: a class in column {column} has over {MAX_CLASS_NAME:,} "
                    f"characters: leave the column out with {mark('data.drop')}"
                )
            self.labels.append(self.codes.setdefault(name, len(self.codes)))

    def _parse_cells(self, number: int, cells: Sequence[str]) -> Iterator[float]:
        """The values of a row, one by one.

        Raises:
            UsageError: a cell is not a number, or has no value and that is an error.
        """
        for place, cell in zip(self.choice.columns, cells, strict=True):
            try:
                value = self.parser.parse(cell, place)
            except ValueError as error:
                advice = self._advise_text(place) if isinstance(error, TextCellError) else ""
                raise UsageError(f"{self._name(number, place)}: {error}{advice}") from error
            if isnan(value) and self.choice.missing == "error":
                advice = MISSING_ADVICE[self.choice.for_training]
                raise UsageError(f"{self._name(number, place)}: a value is missing: {advice}")
            yield value

    def _advise_text(self, place: int) -> str:
        """What to do about a column of texts."""
        name = self.columns[place]
        if not self.choice.for_training:
            return ""
        if len(name) > MAX_SHOWN:
            return (
                f": give the column a short name, and name it with {mark('data.label')} "
                f"or {mark('data.drop')}"
            )
        label, drop = spell_name(name), spell_name(name, in_list=True)
        return (
            f": try {mark('data.label')} {label} if its texts are classes, or "
            f"{mark('data.drop')} {drop}"
        )

    def _name(self, number: int, place: int | None = None) -> str:
        """A row, or a cell, for messages."""
        row = f"{self.path}, row {number}"
        return row if place is None else f"{row}, column {shorten(self.columns[place])}"

    def _require_affordable(self) -> None:
        require_memory(self.values.itemsize * len(self.values), self.path)
        require_items(self.seen, self.path)
        if len(self.codes) > MAX_CLASSES:
            column = self.columns[self.choice.label or 0]
            raise UsageError(f"column {column} of {self.path} has over {MAX_CLASSES:,} classes")

    def finish(self) -> TableContents:
        """All rows, without a copy.

        Raises:
            UsageError: there are none.
        """
        if not self.seen:
            raise UsageError(f"{self.path} has a header and no rows")
        if not self.values:
            raise UsageError(f"{self.path}: a value is missing in every row, so none is left")
        self._require_affordable()
        columns = tuple(self.columns[place] for place in self.choice.columns)
        rows = torch.frombuffer(self.values, dtype=torch.float64).reshape(-1, len(columns))
        numbers = torch.arange(len(rows))
        if self.choice.missing == "drop":
            numbers = torch.frombuffer(self.numbers, dtype=torch.int64)
        labels, classes = sort_classes(self.labels, self.codes)
        left_out, note = self.seen - len(rows), self.parser.note(self.columns)
        notes = (note,) if note else ()
        return TableContents(
            columns=columns,
            rows=rows,
            numbers=numbers,
            labels=labels,
            classes=classes,
            left_out=left_out,
            notes=notes,
        )


def sort_classes(labels: "array[int]", codes: dict[str, int]) -> tuple[Tensor, tuple[str, ...]]:
    """The labels and names of classes in the order of their numbers, or else of their names.

    Args:
        labels: the code of each row.
        codes: the code of each name.
    """
    if not codes:
        return torch.empty(0, dtype=torch.int64), ()
    names = sorted(codes, key=_number_or_name)
    places = torch.empty(len(codes), dtype=torch.int64)
    for place, name in enumerate(names):
        places[codes[name]] = place
    return places[torch.frombuffer(labels, dtype=torch.int64)], tuple(names)


def _number_or_name(name: str) -> tuple[bool, float, str]:
    """A key that sorts numbers before names, and 2 before 10."""
    number = to_number(name, ",")
    return number is None, number or 0.0, name


def read_table(
    path: Path, choose: Choose = ALL_COLUMNS, progress: Progress = ignore_progress
) -> TableContents:
    """Read the file of a table.

    Args:
        path: ends in `.csv` or `.tsv`; a first line that is not all numbers names the columns.
        choose: which columns are read.
        progress: called with the mebibytes read so far and in the file.

    Raises:
        UsageError: the file is missing, empty or too large, or a cell is not a number; the message
            gives its place.
    """
    try:
        with open_file(path) as binary:
            encoding = find_encoding(binary, path)
            binary.seek(0)
            errors = "replace" if encoding.note else "strict"  # some bytes mean nothing
            with TextIOWrapper(binary, encoding.name, errors, newline="") as file:
                found = _read_rows(file, path, choose, progress)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "it is another encoding than it seemed")
        raise UsageError(f"cannot read {path}: {reason}") from error
    except csv.Error as error:
        raise UsageError(f"{path} is not a table: {error}") from error
    return found._replace(notes=(*filter(None, [encoding.note]), *found.notes))


def _read_rows(
    file: TextIOWrapper, path: Path, choose: Choose, progress: Progress
) -> TableContents:
    size = os.fstat(file.fileno()).st_size
    lines = _limited_lines(file, path)
    head = _take_head(lines)
    delimiter = read_separator_line(head[0]) if head else None
    text = chain(head[1:] if delimiter else head, lines)
    delimiter = delimiter or find_delimiter(head, path)
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    filled = ((n, row) for n, row in enumerate(rows, 1) if any(map(str.strip, row)))
    first = list(islice(filled, len(head)))
    if not first:
        raise UsageError(f"{path} is empty")
    layout = lay_out([row for _, row in first], delimiter, path)
    choice = choose(layout, path)
    collector = RowCollector(path, layout.names, choice, delimiter)
    for number, row in chain(first[layout.is_header :], filled):
        collector.add(number, row)
        if number % REPORTED_ROWS == 0:
            progress(os.lseek(file.fileno(), 0, os.SEEK_CUR) >> 20, size >> 20)
    found = collector.finish()
    return found._replace(notes=(*layout.describe(choice), *found.notes))


def _take_head(lines: Iterator[str]) -> list[str]:
    """The first lines of a file: a few, and fewer if they are long."""
    head: list[str] = []
    for line in islice(lines, HEAD_LINES):
        head.append(line)
        if sum(map(len, head)) > HEAD_LENGTH:
            break
    return head


def _limited_lines(file: TextIOWrapper, path: Path) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise UsageError(f"{path} is not a table: it has a line of {MAX_LINE:,} characters")
        yield line
