"""The messages of pydantic and Typer, in the words of this package."""

REPLACEMENTS = {
    "Value error, ": "",
    "Input should be": "must be",
    "Tuple should have": "must be a list with",
    "Field required": "is missing",
}


def simplify(message: str) -> str:
    """A message about a value, without the words of the library that validated it."""
    for theirs, ours in REPLACEMENTS.items():
        message = message.replace(theirs, ours)
    return " ".join(message.split(", unable to parse")[0].split())
