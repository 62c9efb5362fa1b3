"""What a user reads about an error: one line, and an exit code."""

import errno
from collections.abc import Iterable

import typer

from vae_cli.config import simplify
from vae_cli.errors import VAEError, is_memory_full

INTERRUPTED = 130  # the exit code after Ctrl-C
PACKAGES = {  # by their modules
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "torch_fidelity": "torch-fidelity",
    "umap": "umap-learn",
}


def explain(error: BaseException, commands: Iterable[str] = ()) -> tuple[str, int]:
    """The message to print for an error, and the exit code; `commands` are those that exist."""
    match error:
        case VAEError():
            return str(error), error.exit_code
        case typer.TyperException():
            message = simplify(error.format_message().rstrip("."))
            if message.startswith("No such command") and "mean" not in message:
                message += f"; there is {', '.join(commands)}"
            return message, error.exit_code
        case KeyboardInterrupt() | typer.Abort():  # Ctrl-D at a question
            return "stopped", INTERRUPTED
        case _:
            return explain_computer(error), 1


def explain_computer(error: BaseException) -> str:
    """The message for an error that comes from the computer, or else from a bug."""
    match error:
        case _ if is_memory_full(error):
            return "the memory is full: close other programs, or ask for less at a time"
        case ModuleNotFoundError(name=str(module)):
            name = module.partition(".")[0]
            return f"the package {name} is missing: pip install {PACKAGES.get(name, name)}"
        case ImportError():
            reason = str(error).partition("\n")[0]
            return f"a package cannot be loaded, install it again: {reason}"
        case OSError(errno=errno.ENOSPC):
            return "the disk is full"
        case OSError():
            return f"{error.filename or 'a file'}: {error.strerror or error}"
        case _:
            return f"unexpected {type(error).__name__}: {error} (--debug shows more)"
