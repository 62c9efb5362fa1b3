"""Reading the files of a run that are text, within limits: its settings, metrics and evaluation.

They may be from another version, from somebody else or from another program, and they may be torn.
What is beyond a limit, or is not what belongs there, is left out: none of it stops the list of the
other runs, and none of it makes the work larger than that for the largest files of our own.
"""

import csv
import io
import itertools
import json
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vae_cli.errors import UsageError
from vae_cli.files import read_file

MAX_BYTES = 2**20  # of settings, and of an evaluation
MAX_METRICS_BYTES = 32 * 2**20  # of 100,000 epochs, ours have half of that
MAX_LINE = 2**16  # characters of a line of metrics
MAX_EPOCHS = 100_000  # that the settings allow
MAX_COLUMNS = 64  # of metrics; a training has about 16
MAX_FIGURES = 256  # of an evaluation; ours has about 40
MAX_SETTINGS = 1000  # there are about 70
MAX_TEXT = 4096  # characters of a name or of a setting, as of the longest path
MAX_NUMBER = 1e100  # its square is a number too; a training in float32 has nothing above 1e39
MAX_SETTING = 2**63  # integers that are larger are texts
MAX_DEPTH = 3  # of lists in a setting

Number = int | float
Parse = Callable[[str], Any]


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """The tables in a file of settings, with values that can be compared and written as JSON."""
    tables = _parse(path, tomllib.loads)
    settings = (
        (section, name, to_setting(value))
        for section, table in tables.items()
        if isinstance(table, dict) and len(section) <= MAX_TEXT
        for name, value in table.items()
        if len(name) <= MAX_TEXT
    )
    found: dict[str, dict[str, Any]] = {}
    for section, name, value in itertools.islice(settings, MAX_SETTINGS):
        found.setdefault(section, {})[name] = value
    return found


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, not validated; empty if there is none."""
    return _parse(path, json.loads)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header, as texts by column; cells beyond the header are left out.

    Only numbers that are shown are made of the texts, because a list of a thousand runs needs two
    rows of each.
    """
    text = io.StringIO(_read_text(path, MAX_METRICS_BYTES), newline="")
    rows = csv.reader(itertools.takewhile(lambda line: len(line) <= MAX_LINE, text))
    try:
        columns = next(rows, [])[:MAX_COLUMNS]
        columns = columns if max(map(len, columns), default=0) <= MAX_TEXT else []
        filled = (dict(zip(columns, row, strict=False)) for row in rows if row)
        return list(itertools.islice(filled, MAX_EPOCHS))
    except csv.Error:
        return []


def to_number(value: Any) -> Number | None:
    """A finite number of a size that a training has, from a number or a text; None for others."""
    if isinstance(value, str):
        try:
            value = int(value) if value.isdecimal() else float(value)
        except ValueError:
            return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) <= MAX_NUMBER else None


def to_epoch(value: Any) -> int | None:
    """The number of an epoch, from 1; None if a training cannot come to it."""
    number = to_number(value)
    is_epoch = number is not None and number == int(number) and 1 <= number <= MAX_EPOCHS
    return int(number) if number is not None and is_epoch else None


def to_setting(value: Any, depth: int = 0) -> Any:
    """A value of TOML that can be compared and written as JSON; others become short texts."""
    if isinstance(value, list) and depth < MAX_DEPTH:
        return tuple(to_setting(one, depth + 1) for one in value)
    is_number = isinstance(value, int | float) and abs(value) < MAX_SETTING
    is_text = isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value
    return value if is_number or is_text else _shorten(value)


def first_figures(names: Iterable[str]) -> list[str]:
    """The names of the figures that are shown, which are all of those of ours."""
    return list(itertools.islice((name for name in names if len(name) <= MAX_TEXT), MAX_FIGURES))


def _shorten(value: Any) -> str:
    try:
        return str(value)[:MAX_TEXT].replace("\0", "\\0")  # no path has this character
    except (ValueError, RecursionError):  # of an integer with thousands of digits, or deep lists
        return f"a {type(value).__name__}"


def _parse(path: Path, parse: Parse) -> dict[str, Any]:
    """The contents of a small file, if `parse` makes a dictionary of them; else an empty one."""
    try:
        content = parse(_read_text(path, MAX_BYTES))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_text(path: Path, limit: int) -> str:
    """The contents of a file of at most `limit` bytes; empty if it cannot be read."""
    try:
        return read_file(path, limit).decode()
    except (UsageError, OSError, ValueError):
        return ""
