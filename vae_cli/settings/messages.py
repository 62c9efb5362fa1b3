"""The messages of pydantic and Typer, in the words of this package."""

import json
from typing import Any

REPLACEMENTS = {
    "Value error, ": "",
    "Input should be": "must be",
    "Tuple should have": "must be a list with",
    "Field required": "is missing",
}


MAX_SHOWN = 200  # characters of a value, or of a name, in a message


def shorten(text: str) -> str:
    """A text of any length for a message of one line."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def show_value(value: Any) -> str:
    """A value for a message, as JSON and TOML write it."""
    return shorten(json.dumps(value))


def simplify(message: str) -> str:
    """A message about a value, without the words of the library that validated it."""
    for theirs, ours in REPLACEMENTS.items():
        message = message.replace(theirs, ours)
    return " ".join(message.split(", unable to parse")[0].split())
