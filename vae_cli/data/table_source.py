"""Where a table comes from: a file, or a frame of another library. All are read in parts.

A source gives the names of its columns, and then, as often as it is asked, some of these columns in
batches of rows, as arrays of Arrow: of texts if it is a text, and otherwise of whatever type it is.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, final

import numpy as np
import pyarrow as pa

from vae_cli.data.cell_arrays import to_plain
from vae_cli.data.cells import default_columns
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.memory import MAX_COLUMNS
from vae_cli.data.table_names import is_index, require_distinct
from vae_cli.errors import UsageError, shorten
from vae_cli.files import open_file

BATCH_VALUES = 2**20  # in a batch of a typed table
FRAME = "the frame"
Batches = Generator[Sequence[Any]]
THREADS = ThreadPoolExecutor(pa.cpu_count(), "column")


def each(work: Callable[[Any, Any], None], places: Iterable[Any], arrays: Sequence[Any]) -> None:
    """Do some work with each column at the same time, on all cores that Arrow may use.

    Arrow and NumPy let other threads run while they compute, and the columns are independent.
    """
    for _ in THREADS.map(work, places, arrays):
        pass  # or an error is raised


class TableSource(ABC):
    """The columns of a table.

    Attributes:
        source: the path of a file, or what messages call a frame.
        names: of the columns.
        index_name: of a first column without a name that only numbers the rows; empty if there is
            none.
        is_text: whether all cells are texts, so that the kinds of columns have to be found.
        delimiter: between the cells of a text.
        decimal: the sign before decimals in a text.
        notes: what was assumed about the file, for the user.
        first_number: the number of the first row in messages.
    """

    source: object
    names: tuple[str, ...]
    index_name: str = ""
    is_text: bool = False
    delimiter: str = ","
    decimal: str = "."
    notes: tuple[str, ...] = ()
    first_number: int = 0

    @abstractmethod
    def batches(self, columns: Sequence[str]) -> Batches:
        """Some columns, a number of rows at a time: one array of Arrow per column.

        Raises:
            UsageError: the table cannot be read.
        """

    def __str__(self) -> str:
        return str(self.source)

    def name_row(self, place: int) -> str:
        """A row, from 0, as messages name it."""
        return f"{self.source}, row {self.first_number + place}"

    def name_cell(self, place: int, column: str) -> str:
        """A cell as messages name it."""
        return f"{self.name_row(place)}, column {shorten(column)}"


def check_names(names: Sequence[str], source: object) -> tuple[tuple[str, ...], str]:
    """The names of columns, with one for each that has none, and the name of the index.

    Raises:
        UsageError: several columns have the same name, or there are too many.
    """
    if len(names) > MAX_COLUMNS:
        raise UsageError(f"{source} has {len(names):,} columns: at most {MAX_COLUMNS:,} are taken")
    pairs = zip(names, default_columns(len(names)), strict=True)
    known = tuple(name.strip() or default for name, default in pairs)
    require_distinct(known, source)
    return known, known[0] if len(names) > 1 and is_index(names[0]) else ""


@final
class ArrowTable(TableSource):
    """A table of Arrow in memory.

    Args:
        table: has named columns.
        source: what messages call it.
        first_number: the number of the first row in messages.
    """

    def __init__(self, table: Any, source: object, first_number: int = 0) -> None:
        self.source, self.first_number = source, first_number
        self.names, self.index_name = check_names(table.column_names, source)
        self.table = table

    def batches(self, columns: Sequence[str]) -> Batches:
        """Slices of the columns."""
        chosen = [self.table.column(self.names.index(name)) for name in columns]
        length = max(BATCH_VALUES // max(len(columns), 1), 1)
        for start in range(0, self.table.num_rows, length):
            yield [to_plain(column.slice(start, length)) for column in chosen]


@final
class ParquetFile(TableSource):
    """A Parquet file, of which only some rows are in memory at a time.

    Args:
        path: of the file.
        progress: called with the rows read so far and in the file, in thousands.
    """

    def __init__(self, path: Path, progress: Progress = ignore_progress) -> None:
        self.source, self.path, self.progress = path, path, progress
        parquet = importlib.import_module("pyarrow.parquet")
        with open_file(path):
            """It is a file that can be read."""
        try:
            self.file = parquet.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{path} is no Parquet file, or a damaged one") from error
        self.columns = self.file.schema_arrow.names
        self.names, self.index_name = check_names(self.columns, path)

    def batches(self, columns: Sequence[str]) -> Batches:
        """Batches of the columns as they are decoded."""
        places = [self.names.index(name) for name in columns]
        wanted = [self.columns[place] for place in places]
        total, done = self.file.metadata.num_rows, 0
        length = max(BATCH_VALUES // max(len(columns), 1), 1)
        try:
            for batch in self.file.iter_batches(batch_size=length, columns=wanted):
                done += batch.num_rows
                self.progress(done // 1000, total // 1000)
                yield [to_plain(batch.column(name)) for name in wanted]
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"{self.path} is damaged: it cannot be decoded") from error


def open_excel(path: Path) -> ArrowTable:
    """The first sheet of a spreadsheet.

    Raises:
        UsageError: it cannot be read, or the package for it is not installed.
    """
    try:
        excel = importlib.import_module("fastexcel")
    except ImportError as error:
        raise UsageError(
            f"{path}: pip install 'vae-cli[excel]' to read spreadsheets, or save it as CSV"
        ) from error
    with open_file(path):
        """It is a file that can be read."""
    try:
        sheet = excel.read_excel(path).load_sheet(0)
        table = pa.Table.from_batches([sheet.to_arrow()])
    except (excel.FastExcelError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{path} is no spreadsheet, or a damaged one") from error
    names = ["" if name.startswith("__UNNAMED__") else name for name in table.column_names]
    return ArrowTable(table.rename_columns(names), path, first_number=2)


def open_frame(items: Any) -> ArrowTable:
    """A frame of pandas, polars or Arrow, or a mapping of columns; or a single row of these.

    Numbers instead of names, as pandas gives to an array, are no names.

    Raises:
        UsageError: it is no frame whose columns Arrow takes.
    """
    try:
        table = _to_arrow(items)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UsageError(f"{type(items).__name__} gives no columns: {error}") from error
    return ArrowTable(table, FRAME)


def _to_arrow(items: Any) -> Any:
    if isinstance(items, pa.Table):
        return items
    if isinstance(items, pa.RecordBatch):
        return pa.Table.from_batches([items])
    if hasattr(items, "iloc") and hasattr(items, "columns"):  # pandas, whose names may be repeated
        columns = [items.iloc[:, place] for place in range(len(items.columns))]
        return _from_columns(list(items.columns), columns)
    if hasattr(items, "__arrow_c_stream__"):
        return pa.table(items)
    names = list(items.columns if hasattr(items, "columns") else items.keys())
    return _from_columns(names, [np.atleast_1d(np.asarray(items[name])) for name in names])


def _from_columns(names: Sequence[Any], columns: Sequence[Any]) -> Any:
    """A table of columns; numbers instead of names are no names."""
    titles = [name for name in names if not isinstance(name, int)]
    known = list(map(str, names)) if titles else list(default_columns(len(names)))
    if len(set(map(len, columns))) > 1:
        raise UsageError(f"{FRAME} has columns of different lengths")
    return pa.Table.from_arrays(list(map(_to_column, columns)), names=known)


def _to_column(values: Any) -> Any:
    """A column of NumPy or pandas as one of Arrow."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        is_none = [value is None or value != value for value in values]  # noqa: PLR0124  NaN
        texts = [None if none else str(v) for v, none in zip(values, is_none, strict=True)]
        return pa.array(texts, pa.string())
