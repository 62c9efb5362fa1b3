"""A table in a text: `.csv` with commas, semicolons, tabs or bars between the cells, or `.tsv`.

Everything that is assumed about the file as a whole, such as the encoding of its characters and
what separates its cells, is decided here, from its bytes and its first lines, and said in a note.
The cells are divided by Arrow, in parts of some mebibytes. Where lines have different numbers of
cells, the slower `csv` of Python takes over: it names the line that is wrong, or repairs those that
only have empty cells too many.
"""

import codecs
import csv
import gzip
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast, final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from vae_cli.data.cells import is_missing, split_unit, to_number
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.table_names import warn_of_numbers
from vae_cli.data.table_source import Batches, TableSource, check_names
from vae_cli.errors import UsageError
from vae_cli.files import open_file, unescape_formula

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
MAX_LINE = 2**24  # characters
HEAD_LINES = 20  # that tell how the file is divided into columns
HEAD_LENGTH = 2**20  # characters
SMALLEST_PART, LARGEST_PART = 2**20, 2**25  # bytes that are divided into cells at a time
BYTES_A_COLUMN = 2**13  # of such a part
IRREGULAR_ROWS = 10_000  # in a batch


class Encoding(NamedTuple):
    """How bytes become characters.

    Attributes:
        name: for Python.
        note: for the user, if it was assumed; empty if not.
    """

    name: str
    note: str = ""

    @property
    def errors(self) -> str:
        """What becomes of bytes that mean nothing: an encoding that was assumed has some."""
        return "replace" if self.note else "strict"


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
    if _is_utf8(chain([head], iter(lambda: file.read(CHUNK), b""))):
        return Encoding("utf-8")
    if not all(byte >= ord(" ") or byte in TEXT_CONTROLS for byte in head):
        raise UsageError(f"{path} is not a text: save the table as CSV in UTF-8")
    return Encoding("cp1252", "read as Windows-1252 (Latin-1), because it is not UTF-8")


def _is_utf8(chunks: Iterator[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in chunks:
            if not chunk.isascii() or decoder.getstate()[0]:
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def find_delimiter(lines: Sequence[str], suffix: str) -> str:
    """The character between the cells: one of the first line that every other line has too."""
    if suffix == ".tsv" and "\t" in "".join(lines[:1]):
        return "\t"
    outside_quotes = "".join("".join(lines).split('"')[::2])
    rows = [line for line in outside_quotes.splitlines() if line.strip()]
    found = [char for char in DELIMITERS if any(char in row for row in rows[:1])]
    everywhere = [char for char in found if all(char in row for row in rows)]
    return (everywhere or found or [","])[0]


class Layout(NamedTuple):
    """The columns of a text, from its first lines.

    Attributes:
        names: of the columns; empty for one without a name.
        is_header: whether the first row holds the names.
        skipped: the number of lines before the first row of data.
        width: the number of cells in a row, with those after the last column.
        empty: the number of columns in the header that have neither a name nor values.
    """

    names: tuple[str, ...]
    is_header: bool
    skipped: int
    width: int
    empty: int


def lay_out(lines: Sequence[str], delimiter: str, path: Path) -> Layout:
    """The columns of a text that begins with some lines.

    The first column without a name is the index that pandas and R write, unless it is the only one.
    Empty cells at the end of all rows, also of the header, are no column.

    Raises:
        UsageError: there is no row at all.
    """
    marked = bool(lines) and read_separator_line(lines[0]) is not None
    reader = csv.reader(lines[marked:], delimiter=delimiter, strict=True)
    filled: list[tuple[list[str], int]] = []
    try:
        for row in reader:
            if any(map(str.strip, row)):
                filled.append((row, reader.line_num))
    except csv.Error:  # the last one of these lines may end within a cell
        if not filled:
            raise
    if not filled:
        raise UsageError(f"{path} is empty")
    first, *others = (row for row, _ in filled)
    is_header = not is_data((first, *others), delimiter)
    if is_header and others and all(len(row) == len(first) + 1 and row[-1] for row in others):
        first = ["", *first]  # R leaves out the name of its index
    count = min(len(first), max(map(_last_place, (first, *others))))
    names = tuple(unescape_formula(cell.strip()) for cell in first[:count])
    if is_header:
        numbers = [cell.strip() for cell in names if to_number(cell, ";") is not None]
        warn_of_numbers(numbers, path.name)
    return Layout(
        names=names if is_header else ("",) * count,
        is_header=is_header,
        skipped=marked + (filled[0][1] if is_header else 0),
        width=max(map(len, others), default=count),
        empty=len(first) - count,
    )


def _last_place(row: Sequence[str]) -> int:
    """The number of cells up to the last one that is not empty."""
    return next((place for place in range(len(row), 0, -1) if row[place - 1].strip()), 0)


def is_data(rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether the first row of a file is a row of numbers, and not the names of the columns.

    Names may look like numbers with a unit: `5%` and `95%` of columns of quantiles. They are data
    only if the cells below have the unit too.
    """
    first, *others = rows
    numbers = [cell for cell in first if to_number(cell, delimiter) is not None]
    below = chain(others[0] if others else first, repeat(""))
    return bool(numbers) and all(
        is_missing(cell) or (cell in numbers and _unit(other) in {_unit(cell), None})
        for cell, other in zip(first, below, strict=False)
    )


def _unit(cell: str) -> tuple[str, str] | None:
    """What stands before and after a number; None if its value is missing."""
    return None if is_missing(cell) else split_unit(cell)[1:]


def read_separator_line(line: str) -> str | None:
    """The delimiter that a first line such as `sep=;` names; None if it is another line."""
    found = SEPARATOR_LINE.fullmatch(line)
    return found[1] if found else None


@final
class TextTable(TableSource):
    """A table in a text.

    Args:
        path: ends in `.csv` or `.tsv`, perhaps with `.gz` after it.
        progress: called with the mebibytes read so far and in the file.

    Raises:
        UsageError: it is missing or empty, or no table.
    """

    is_text = True

    def __init__(self, path: Path, progress: Progress = ignore_progress) -> None:
        self.source, self.path, self.progress = path, path, progress
        self.is_packed = path.suffix.lower() == ".gz"
        suffix = Path(path.stem).suffix if self.is_packed else path.suffix
        with self._explained(), self._open() as (_, file):
            self.encoding = find_encoding(file, path)
            with self._decode(file) as text:
                head = _take_head(_limited_lines(text, path))
            named = read_separator_line(head[0]) if head else None
            self.delimiter = named or find_delimiter(head, suffix.lower())
            self.layout = lay_out(head, self.delimiter, path)
        self.head = head[: self.layout.skipped]
        self.names, self.index_name = check_names(self.layout.names, path)
        if not self.layout.is_header:
            self.index_name = ""
        self.first_number = 1 + self.layout.is_header
        self.notes = tuple(filter(None, [self.encoding.note, self._describe_empty()]))

    def _describe_empty(self) -> str:
        empty = self.layout.empty
        columns = "1 column is" if empty == 1 else f"{empty:,} columns are"
        return f"{columns} left out at the end, without a name and without values" * bool(empty)

    def batches(self, columns: Sequence[str]) -> Batches:
        """Parts of the columns as texts, in the order of the file."""
        done = 0
        with self._explained(), self._open() as (binary, file), self._decode(file) as text:
            size = os.fstat(binary.fileno()).st_size
            try:
                for arrays in self._divide(file, text, columns):
                    done += len(arrays[0])
                    yield arrays
                    self.progress(binary.tell() >> 20, size >> 20)
            except pa.ArrowInvalid:
                pass
            else:
                return
        yield from self._read_irregular(columns, done)

    def _divide(self, file: BinaryIO, text: TextIOWrapper, columns: Sequence[str]) -> Batches:
        """The cells of a file by Arrow.

        Raises:
            ArrowInvalid: a line has too few or too many cells, or is very long.
        """
        width = max(self.layout.width, len(self.names))
        titles = [str(place) for place in range(width)]
        wanted = [str(self.names.index(name)) for name in columns]
        beyond = titles[len(self.names) :]  # where only empty cells may be
        size = min(max(BYTES_A_COLUMN * width, SMALLEST_PART), LARGEST_PART)
        for part in whole_rows(self._skip_head(file, text), size):
            batch = arrow_csv.read_csv(
                pa.BufferReader(part),
                read_options=arrow_csv.ReadOptions(column_names=titles, block_size=len(part) + 1),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=[*wanted, *beyond],
                    column_types=dict.fromkeys(titles, pa.string()),
                ),
            )
            arrays = [column.combine_chunks() for column in batch.columns]
            require_regular(arrays, len(wanted))
            yield arrays[: len(wanted)]

    def _skip_head(self, file: BinaryIO, text: TextIOWrapper) -> Callable[[int], bytes]:
        """What reads the rest of a file after the names of its columns, as UTF-8."""
        if self.encoding.name in {"utf-8", "utf-8-sig"}:
            mark = len(codecs.BOM_UTF8) if self.encoding.name == "utf-8-sig" else 0
            file.seek(mark + sum(len(line.encode()) for line in self.head))
            return file.read
        for _ in self.head:
            text.readline(MAX_LINE)
        return lambda size: text.read(size).encode()

    def _read_irregular(self, columns: Sequence[str], done: int) -> Batches:
        """The rows after the first `done` ones by Python.

        Raises:
            UsageError: a line has too few or too many cells; the message names it.
        """
        places = [self.names.index(name) for name in columns]
        with self._explained(), self._open() as (_, file), self._decode(file) as text:
            has_mark = bool(self.head) and read_separator_line(self.head[0]) is not None
            lines = islice(_limited_lines(text, self.path), int(has_mark), None)
            rows = csv.reader(lines, delimiter=self.delimiter, strict=True)
            numbered = ((n, row) for n, row in enumerate(rows, 1) if row)
            filled = islice(numbered, self.layout.is_header + done, None)
            cut = (self._cut(n, row) for n, row in filled if any(map(str.strip, row)))
            while some := list(islice(cut, IRREGULAR_ROWS)):
                yield [pa.array([row[place] for row in some], pa.string()) for place in places]

    def _cut(self, number: int, row: Sequence[str]) -> Sequence[str]:
        """A row without the empty cells after its last column."""
        count = len(self.names)
        if len(row) < count or any(map(str.strip, row[count:])):
            raise UsageError(f"{self.path}, row {number} has {len(row)} cells, not {count}")
        return row[:count]

    @contextmanager
    def _decode(self, file: BinaryIO) -> Iterator[TextIOWrapper]:
        """The characters of a file from its start; it stays open."""
        file.seek(0)
        raw = cast("io.BufferedReader", file)
        text = TextIOWrapper(raw, self.encoding.name, self.encoding.errors, newline="")
        try:
            yield text
        finally:
            text.detach()

    @contextmanager
    def _open(self) -> Iterator[tuple[BinaryIO, BinaryIO]]:
        """The file as it is on the disk, and its unpacked bytes."""
        with open_file(self.path) as binary:
            if not self.is_packed:
                yield binary, binary
                return
            with gzip.GzipFile(fileobj=binary) as unpacked:
                yield binary, cast("BinaryIO", unpacked)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors of the system and of Python's reader as one line."""
        path = self.path
        try:
            yield
        except FileNotFoundError as error:
            raise UsageError(f"{path} does not exist") from error
        except (OSError, EOFError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is damaged, or in another encoding"
            raise UsageError(f"cannot read {path}: {reason}") from error
        except csv.Error as error:
            raise UsageError(f"{path} is not a table: {error}") from error


def whole_rows(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    """A text in parts that end with a row: at a line break that is not between quotation marks.

    Raises:
        ArrowInvalid: a row is very long.
    """
    rest = b""
    while block := read(size):
        part = rest + block
        end = part.rfind(b"\n") + 1
        if b'"' in part:
            end = _end_of_row(part, end) or end
        if end:
            yield part[:end]
        elif len(part) > MAX_LINE:
            raise pa.ArrowInvalid("a row is very long")
        rest = part[end:]
    if rest.strip():
        yield rest


def _end_of_row(part: bytes, end: int) -> int:
    """The last line break before which all quotation marks are in pairs; 0 if there is none."""
    marks = part.count(b'"', 0, end)
    while end and marks % 2:
        before = part.rfind(b"\n", 0, end - 1) + 1
        marks -= part.count(b'"', before, end)
        end = before
    return end


def require_regular(arrays: Sequence[Any], count: int) -> None:
    """Check that rows end with their last column, and the last cell with its line.

    Raises:
        ArrowInvalid: there is a cell after the first `count` columns; or the last cell may go on to
            the end of the file, because a quotation mark has no partner.
    """
    if any(
        pc.any(pc.not_equal(pc.utf8_trim_whitespace(one), "")).as_py() for one in arrays[count:]
    ):
        raise pa.ArrowInvalid("a row has too many cells")
    last = arrays[-1][-1].as_py() if len(arrays[-1]) else ""
    if last and "\n" in last:
        raise pa.ArrowInvalid("a quotation mark may have no end")


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
