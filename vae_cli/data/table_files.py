"""The files of tables: which format a name says, and how it is opened and read."""

from pathlib import Path

from vae_cli.data.dataset import DEFAULT_TABLE, Progress, Spec, TableRules, ignore_progress
from vae_cli.data.source import EXCEL_SUFFIXES, PARQUET_SUFFIXES
from vae_cli.data.table_contents import (
    TableContents,
    choose_for_model,
    choose_for_training,
    read_contents,
)
from vae_cli.data.table_source import ParquetFile, TableSource, open_excel
from vae_cli.data.table_text import TextTable


def open_table(path: Path, progress: Progress = ignore_progress) -> TableSource:
    """Open the file of a table: a text, perhaps packed, a Parquet file or a spreadsheet.

    Args:
        path: its ending says what it is; what is no other format is a text.
        progress: called with how much was read so far and in all.

    Raises:
        UsageError: it is missing or empty, or no such file.
    """
    suffix = path.suffix.lower()
    if suffix in PARQUET_SUFFIXES:
        return ParquetFile(path, progress)
    if suffix in EXCEL_SUFFIXES:
        return open_excel(path)
    return TextTable(path, progress)


def read_table(
    path: Path,
    rules: TableRules = DEFAULT_TABLE,
    *,
    like: Spec | None = None,
    version: int = 3,
    progress: Progress = ignore_progress,
) -> TableContents:
    """The rows of the file of a table; missing values are NaN, unless they are an error.

    Args:
        path: of the file.
        rules: which columns are not learned, and what happens if a value is missing.
        like: a spec whose columns are read, in its order and with its rules.
        version: of the rules of reading, as in `survey`.
        progress: called with how much was read so far and in all.

    Raises:
        UsageError: the file cannot be read, or its columns or cells do not fit.
    """
    source = open_table(path, progress)
    if like is not None:
        return read_contents(source, choose_for_model(like, source))
    return read_contents(source, choose_for_training(source, rules, version=version))
