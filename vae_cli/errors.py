"""The errors and warnings that a user sees. A message is one line: what is wrong, what to do.

A message marks a setting by its key, or a parameter by its name, with or without a value:
`mark("optimizer.learning_rate")`, `mark("prior.name=vamp")`, `mark("fit=object")`. Python shows it
as it is. The command line shows the option in its place: `--learning-rate`, `--prior vamp`, `--fit
object`. A whole command, such as `vae train --resume run`, is right in both, and has no marks.
"""

import re
from collections.abc import Callable, Sequence

EDGE = "\0"  # no name of a file and no argument can have it, so a user's text is never a mark
MARK = re.compile(rf"{EDGE}(?P<name>[a-z_.]+)(?:=(?P<value>[^{EDGE}]+))?{EDGE}")


def mark(name: str) -> str:
    """A setting or a parameter for a message, with or without its value.

    Example: `f"{path}: try {mark('data.range=0:1')}"`
    """
    return f"{EDGE}{name}{EDGE}"


def replace_marks(text: str, show: Callable[[str, str | None], str]) -> str:
    """A message with `show(name, value)` in place of each mark."""
    return MARK.sub(lambda found: show(found["name"], found["value"]), text)


def without_marks(text: str) -> str:
    """A message for somebody who works with Python: a mark is its own text."""
    return replace_marks(text, lambda name, value: name if value is None else f"{name}={value}")


class _Marked:
    """An error or a warning whose message may have marks."""

    args: tuple[object, ...]

    @property
    def message(self) -> str:
        """The message with its marks: for an error that quotes it, and for the command line."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        """The message for somebody who works with Python."""
        return without_marks(self.message)


class VAEError(_Marked, Exception):
    """Something failed while it was being done."""

    exit_code = 1


class VAEWarning(_Marked, UserWarning):
    """Something is perhaps not as the user expects."""


class ImportantWarning(VAEWarning):
    """Results are not what the user thinks, or not where: a quiet command shows it as well."""


class UsageError(VAEError):
    """A command or a setting asks for something that is not possible."""

    exit_code = 2


class OutsideCodeError(VAEError):
    """A component from outside of this package may not be imported, cannot be, or is none.

    It says nothing about the file that names it, so it is no `UsageError` of that file.
    """

    exit_code = 2


NOT_BEGUN = "stopped before the first step"


class InterruptedRunError(VAEError):
    """A signal asked the training to stop; the state was saved first."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


class ChangedDataError(VAEError):
    """A file of data was changed while it was in use."""


class LostProcessError(VAEError):
    """Another process of the same work has ended, or does not answer; its own error says why.

    Attributes:
        remedy: what to do then, such as the command that goes on; empty if nothing was lost.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.remedy = remedy


class NonFiniteLossError(VAEError):
    """The loss became infinite or not a number."""

    exit_code = 3


MAX_SHOWN = 80  # characters of a name or a cell in a message


def shorten(text: str, length: int = MAX_SHOWN) -> str:
    """A text for a message, which is one line: its beginning, if it is long."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def list_some(names: Sequence[str], limit: int) -> str:
    """Names for a message: all of them, or the first `limit` and the number of the others."""
    shown, more = ", ".join(map(shorten, names[:limit])), len(names) - limit
    return f"{shown} and {more:,} more" if more > 0 else shown


def join_or(words: Sequence[str]) -> str:
    """Words for a message, as in `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def require_known(name: str, value: str | None, allowed: Sequence[str]) -> None:
    """Check that the value of a parameter is one of those that it may have.

    Python does not look at a `Literal`, and a typo must not be taken for the last one of them.

    Raises:
        UsageError: it is not.
    """
    if value not in allowed:
        raise UsageError(f"{mark(f'{name}={shorten(str(value))}')}: must be {join_or(allowed)}")


def plural(count: int, noun: str) -> str:
    """A number of things for a message, such as `1 item` or `2,000 items`."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8; the name of a file need not be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


MEMORY_IS_FULL = (
    *("can't allocate memory", "out of memory"),  # torch
    *("Cannot allocate memory", "failed to map segment"),  # the system, also while it loads torch
)


def is_memory_full(error: BaseException) -> bool:
    """Whether an error says that the memory is full; of many errors, only the text tells."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in MEMORY_IS_FULL)
