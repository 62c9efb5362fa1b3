"""The errors that a user sees, by exit code. A message is one line: what is wrong, what to do."""

from collections.abc import Sequence


class VAEError(Exception):
    """Something failed while it was being done."""

    exit_code = 1


class UsageError(VAEError):
    """A command or a setting asks for something that is not possible."""

    exit_code = 2


class InterruptedRunError(VAEError):
    """A signal asked the training to stop; the state was saved first."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


class ChangedDataError(VAEError):
    """A file of data was changed while it was in use."""


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
