"""One value of a setting: how it is read, checked, and shown in a message."""

import json
import tomllib
from typing import Any

from vae_cli.errors import UsageError
from vae_cli.settings.entries import Entry

MAX_SHOWN = 200  # characters of a value, or of a name, in a message
LINE_BREAKS = "\n\r"
OF_TOML_AND_JSON = (str, int, float, bool, dict, type(None))
REPLACEMENTS = {  # in the messages of pydantic and Typer
    "Value error, ": "",
    "Input should be": "must be",
    "Tuple should have": "must be a list with",
    " after validation": "",
    "a valid tuple": "a list",
    "Field required": "is missing",
}


def parse_value(text: str) -> Any:
    """A value of TOML, or the text itself if it is none."""
    values = parse_values(text)
    return values[0] if values is not None and len(values) == 1 else text


def parse_values(text: str) -> list[Any] | None:
    """Values of TOML between commas; None if a text is something else.

    A text with a line break or with the beginning of a comment is no value, although it would be a
    part of a TOML file: a whole line of that file could be in it.
    """
    try:
        parsed = tomllib.loads(f"values = [[{text}], 0]")["values"]  # a comment would hide the end
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    is_whole = len(parsed) == 2 and not set(text.strip()) & set(LINE_BREAKS)  # noqa: PLR2004
    values: list[Any] | None = parsed[0] if is_whole else None
    return values


def validate_value(entry: Entry, value: Any) -> Any:
    """The value of a setting, with the type that the setting has.

    Nothing is converted but what TOML and JSON write differently: a list is a tuple, a whole number
    may stand for a float, and what they do not have, such as a path or a date, is its text.

    Raises:
        UsageError: it has a wrong type or is out of range; the message names key, value and range.
    """
    from pydantic import ValidationError

    given = _to_tuple(value)
    try:
        return entry.validator.validate_python(given, strict=True)
    except ValidationError as error:
        raise UsageError(_explain(entry, error.errors()[0])) from error


def _to_tuple(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_to_tuple, value))
    return value if isinstance(value, OF_TOML_AND_JSON) else str(value)


def _explain(entry: Entry, error: Any) -> str:
    """One line for an error of pydantic: the key, the value, and what is allowed."""
    is_of_several_kinds = any(isinstance(part, str) for part in error["loc"])
    if is_of_several_kinds or error["type"] == "predicate_failed":
        return f"{entry.key} = {show_value(error['input'])}: must be {entry.range}"
    key = ".".join(map(str, (entry.key, *error["loc"])))
    return f"{key} = {show_value(error['input'])}: {simplify(error['msg'])}"


def shorten(text: str) -> str:
    """A text of any length for a message of one line."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def show_value(value: Any) -> str:
    """A value for a message, as JSON and TOML write it."""
    return shorten(json.dumps(value, default=str))


def simplify(message: str) -> str:
    """A message about a value, without the words of the library that validated it."""
    for theirs, ours in REPLACEMENTS.items():
        message = message.replace(theirs, ours)
    return " ".join(message.split(", unable to parse")[0].split())
