"""The file of a table: `.csv` with commas, semicolons or tabs between the cells, or `.tsv`.

It is read row by row. What is in memory is one line of it, and 8 bytes for each value.
"""

import csv
import functools
import os
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from vae_cli.data.dataset import Progress, TableRules, ignore_progress
from vae_cli.data.table_columns import (
    Choose,
    choose_for_training,
    default_columns,
    name_columns,
)
from vae_cli.data.table_rows import RowCollector, TableContents
from vae_cli.errors import UsageError
from vae_cli.files import open_file

MAX_LINE = 2**24  # characters
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
        with TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as file:
            return _read_rows(file, path, choose, progress)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', 'no UTF-8')}") from error
    except csv.Error as error:
        raise UsageError(f"{path} is not a table: {error}") from error


def _read_rows(
    file: TextIOWrapper, path: Path, choose: Choose, progress: Progress
) -> TableContents:
    size = os.fstat(file.fileno()).st_size
    delimiter = _find_delimiter(file, path)
    rows = csv.reader(_limited_lines(file, path), delimiter=delimiter, strict=True)
    filled = ((n, row) for n, row in enumerate(rows, 1) if any(map(str.strip, row)))
    start, first = next(filled, (0, []))
    if not first:
        raise UsageError(f"{path} is empty")
    names = name_columns(first, delimiter, path)
    columns = names or default_columns(len(first))
    collector = RowCollector(path, columns, choose(columns, path), delimiter)
    if names is None:
        collector.add(start, first)
    for number, row in filled:
        collector.add(number, row)
        if number % REPORTED_ROWS == 0:
            progress(os.lseek(file.fileno(), 0, os.SEEK_CUR) >> 20, size >> 20)
    return collector.finish()


def _find_delimiter(file: TextIOWrapper, path: Path) -> str:
    """The character between cells, which the first line tells; the file is at its start again."""
    head = file.readline(MAX_LINE)
    file.seek(0)
    if path.suffix.lower() == ".tsv":
        return "\t"
    outside = "".join(head.split('"')[::2])  # of quotation marks
    return next((char for char in "\t;" if char in outside), ",")


def _limited_lines(file: TextIOWrapper, path: Path) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise UsageError(f"{path} is not a table: it has a line of {MAX_LINE:,} characters")
        yield line
