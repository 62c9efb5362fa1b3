"""The names of a table's columns, in files and in lists that people type."""

import difflib
import re
import shlex
import warnings
from collections import Counter
from collections.abc import Sequence

from vae_cli.errors import UsageError, list_some, mark

MAX_NAMED = 5  # columns in a message
PANDAS_INDEX = re.compile(r"Unnamed: 0(\.[0-9]+)?")  # an index that was read as a column
QUOTED = re.compile(r'"(?:[^"]|"")*"')
NAME_IN_LIST = re.compile(rf"(\s*{QUOTED.pattern}\s*|[^,]*),")


def is_index(name: str) -> bool:
    """Whether the first column, if this is its name, only numbers the rows."""
    return not name.strip() or PANDAS_INDEX.fullmatch(name.strip()) is not None


def require_distinct(names: Sequence[str], source: object) -> None:
    """Check that all columns have different names.

    Raises:
        UsageError: some have the same.
    """
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        listed = list_some(repeated, MAX_NAMED)
        raise UsageError(f"{source} has several columns with the same name: {listed}; rename them")


def require_column(key: str, name: str, columns: Sequence[str], source: object) -> None:
    """Check that a table has a column that a setting names.

    Raises:
        UsageError: it has not; the message names the nearest one.
    """
    if name not in columns:
        near = difflib.get_close_matches(name, columns, 1, cutoff=0)[0]
        raise UsageError(f"{mark(key)} {name}: {source} has no such column; did you mean {near}?")


def warn_of_numbers(numbers: Sequence[str], name: str) -> None:
    """Warn if the first line is taken for names although it may be a row of the table."""
    if any(not number.isdigit() for number in numbers):  # the name of a column may be a year
        warnings.warn(
            f"the first line of {name} is taken for the names of the columns, although it has "
            f"numbers ({list_some(numbers, MAX_NAMED)}); if it is a row, add a line of names",
            stacklevel=2,
        )


def split_names(text: str) -> list[str]:
    """Names that are separated by commas; a name with a comma is written in quotation marks."""
    names = NAME_IN_LIST.findall(f"{text},")
    return [
        name[1:-1].replace('""', '"').strip() if QUOTED.fullmatch(name) else name
        for name in map(str.strip, names)
    ]


def spell_name(name: str, *, in_list: bool = False) -> str:
    """A name as it is typed in a shell; a list of names is read by `split_names`."""
    if in_list and any(char in name for char in ',"'):
        name = '"' + name.replace('"', '""') + '"'
    return shlex.quote(name)
