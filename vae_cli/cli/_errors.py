"""What a user reads about an error: one line, and an exit code."""

import errno
import functools
import re
import warnings
from collections.abc import Callable, Collection, Mapping

import typer

from vae_cli.cli._console import Terminal
from vae_cli.errors import (
    ImportantWarning,
    VAEError,
    VAEWarning,
    is_memory_full,
    list_some,
    replace_marks,
)
from vae_cli.settings import entries, simplify

NO_THREADS = ("can't start new thread", "Resource temporarily unavailable")  # Python, torch
INTERRUPTED = 130  # the exit code after Ctrl-C
MAX_WORD = 400  # characters of a name in a message: the longest name of a file has 255
COMPUTING = ("training.device", "training.processes")  # settings that a run does not decide
MAX_COMMANDS = 5  # that are named in a message
ENDS = (150, 50)  # characters that are shown of the beginning and the end of a longer one
PACKAGES = {  # by their modules
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "torch_fidelity": "torch-fidelity",
    "umap": "umap-learn",
}


Options = Mapping[str, Collection[str]]  # of each command


def explain(error: BaseException, read_options: Callable[[], Options] = dict) -> tuple[str, int]:
    """The message to print for an error, and the exit code; the options make it more helpful."""
    message, code = _explain(error, read_options)
    return shorten_words(message), code


def show_options(text: str) -> str:
    """A message of the core with options in place of the settings and parameters that it names.

    A setting without an option of its own is set with `--set`.
    """
    return replace_marks(text, option_of)


def option_of(name: str, value: str | None) -> str:
    """How the command line spells a setting, by its key, or a parameter, with a value or without.

    Example: `--prior vamp`, or `--set prior.components=100`
    """
    option = flags().get(name) if "." in name else f"--{name.replace('_', '-')}"
    match option, value:
        case None, None:
            return name
        case None, _:
            return f"--set {name}={value}"
        case _, None:
            return str(option)
        case _:
            return f"{option} {value}"


@functools.cache
def flags() -> dict[str, str]:
    """The options of settings by their keys; a setting without a short name has none."""
    return {entry.key: f"--{entry.short}" for entry in entries() if entry.short}


def shorten_words(message: str) -> str:
    """A message without the middle of names that no file can have, such as one of 5,000 letters."""
    start, end = ENDS
    long_word = rf"\S{{{MAX_WORD + 1},}}"
    return re.sub(long_word, lambda found: f"{found[0][:start]}…{found[0][-end:]}", message)


def _explain(error: BaseException, read_options: Callable[[], Options]) -> tuple[str, int]:
    match error:
        case VAEError():
            return show_options(error.message), error.exit_code
        case typer.TyperException():
            message = simplify(error.format_message().rstrip("."))
            if message.startswith("No such command") and "mean" not in message:
                message += f"; there is {', '.join(read_options())}"
            added = name_value(error, message) + explain_option(message, read_options)
            return message + added, error.exit_code
        case KeyboardInterrupt() | typer.Abort():  # Ctrl-D at a question
            return "stopped", INTERRUPTED
        case _:
            return explain_computer(error), 1


def name_value(error: BaseException, message: str) -> str:
    """What to add to the message about a value that pydantic refused, if it does not name it."""
    from pydantic import ValidationError  # takes time that vae --help does not have

    if not isinstance(error.__cause__, ValidationError):
        return ""
    value = repr(error.__cause__.errors()[0]["input"])
    return "" if value in message else f", not {value}"


def explain_option(message: str, read_options: Callable[[], Options]) -> str:
    """What to add if a command does not have an option that another has."""
    found = re.match(r"No such option: (--[\w-]+)", message)
    if not found:
        return ""
    computing = [flags()[key] for key in COMPUTING]
    if found[1] in flags().values() and found[1] not in computing:
        return "; vae train takes it, and a run keeps what it was trained with"
    commands = [name for name, options in read_options().items() if found[1] in options]
    if len(commands) == 1:
        return f"; vae {commands[0]} takes it"
    if found[1] in computing and commands:
        return f"; it is for vae {list_some(commands, MAX_COMMANDS)}"
    return ""


def explain_computer(error: BaseException) -> str:
    """The message for an error that comes from the computer, or else from a bug."""
    match error:
        case _ if is_memory_full(error):
            return "the memory is full: close other programs, or ask for less at a time"
        case RuntimeError() if any(text in str(error) for text in NO_THREADS):
            return "the system starts no more threads: close other programs, or raise ulimit -u"
        case ModuleNotFoundError(name=str(module)):
            name = module.partition(".")[0]
            return f"the package {name} is missing: pip install {PACKAGES.get(name, name)}"
        case ImportError():
            reason = str(error).partition("\n")[0]
            return f"a package cannot be loaded, install it again: {reason}"
        case OSError():
            reason = f"{error.filename or 'a file'}: {error.strerror or error}"
            return "the disk is full" if error.errno == errno.ENOSPC else reason
        case _:
            return f"unexpected {type(error).__name__}: {error} (--debug shows more)"


def show_important_warnings() -> None:
    """Ignore the warnings that a quiet command does not show."""
    warnings.simplefilter("ignore")
    warnings.simplefilter("always", ImportantWarning)


def warnings_shown_once() -> Callable[..., None]:
    """What shows a warning of Python as a line that stands out, and each text once."""
    shown: set[str] = set()

    def show(warning: Warning | str, *_location: object) -> None:
        text = warning.message if isinstance(warning, VAEWarning) else str(warning)
        if text not in shown:
            shown.add(text)
            Terminal(lasting=True).advice(show_options(text))

    return show
