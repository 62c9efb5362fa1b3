"""The file of a table: `.csv` with commas, semicolons, tabs or bars between the cells, or `.tsv`.

It is read row by row. What is in memory is one line of it, and 8 bytes for each value.
"""

import csv
import functools
import os
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path

from vae_cli.data.dataset import Progress, TableRules, ignore_progress
from vae_cli.data.dialect import find_delimiter, find_encoding, read_separator_line
from vae_cli.data.table_columns import Choose, choose_for_training, lay_out
from vae_cli.data.table_rows import RowCollector, TableContents
from vae_cli.errors import UsageError
from vae_cli.files import open_file

MAX_LINE = 2**24  # characters
HEAD_LINES = 20  # that tell how the file is divided into columns
HEAD_LENGTH = 2**20  # characters
REPORTED_ROWS = 4096  # between two reports of the progress


ALL_COLUMNS: Choose = functools.partial(choose_for_training, TableRules())


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
