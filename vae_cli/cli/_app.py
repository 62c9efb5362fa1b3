"""The Typer app, and how errors become one line."""

import ast
import functools
import inspect
import io
import itertools
import os
import re
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Annotated, Any

import typer
from typer.main import get_command

from vae_cli import __version__
from vae_cli.cli._console import Terminal
from vae_cli.cli._errors import INTERRUPTED, explain, show_important_warnings, warnings_shown_once
from vae_cli.cli._options import expand_groups
from vae_cli.cli._parsing import Command
from vae_cli.cli._processes import (
    ProcessesWantedError,
    find_place,
    follow_launcher,
    must_tell,
    recorded,
    silent,
)
from vae_cli.cli._settings import accepted_words
from vae_cli.cli._signals import StopSignals
from vae_cli.cli.commands import (
    check,
    config,
    data,
    embed,
    evaluate,
    explore,
    impute,
    interpolate,
    manifold,
    plot,
    reconstruct,
    reproduce,
    runs,
    sample,
    score,
    swap,
    sweep,
    train,
    traverse,
)
from vae_cli.errors import InterruptedRunError, UsageError
from vae_cli.settings.outside import EVERY_NAME, allow
from vae_cli.threads import spare_threads

ALLOW_CODE = "--allow-code"  # of every command that reads a run or a file of settings
SIZES = {"COLUMNS": range(20, 10_001), "LINES": range(1, 10_001)}  # of a terminal, in characters

WORDS = accepted_words()


def help_of(command: Callable[..., None]) -> str:
    """The docstring of a command; `python -OO` removes it, and then it is read from the source."""
    if not command.__doc__:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(command))).body
        assert isinstance(function, ast.FunctionDef)
        command.__doc__ = ast.get_docstring(function)
    return inspect.getdoc(command) or ""


app = typer.Typer(
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda word: WORDS.get(word, word),
    },
)
COMMANDS: dict[str, Callable[..., None]] = {
    "train": train.command,
    "reconstruct": reconstruct.command,
    "sample": sample.command,
    "traverse": traverse.command,
    "interpolate": interpolate.command,
    "manifold": manifold.command,
    "swap": swap.command,
    "embed": embed.command,
    "evaluate": evaluate.command,
    "impute": impute.command,
    "score": score.command,
    "explore": explore.command,
    "data": data.command,
    "sweep": sweep.command,
    "reproduce": reproduce.command,
    "runs": runs.command,
    "plot": plot.command,
    "config": config.command,
    "check": check.command,
}
for name, command in COMMANDS.items():
    app.command(name, cls=Command, help=help_of(command))(expand_groups(command))


def _print_version(requested: bool) -> None:
    if requested:
        sys.stdout.write(f"vae {__version__}\n")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train variational autoencoders, and use what they learned.

    Example: `vae train --epochs 20`, then `vae sample`
    """


app.callback(
    help=help_of(root),
    epilog="Errors are one line; add --debug anywhere to see the traceback. A run may name code "
    "from outside of vae; add --allow-code anywhere to import it.",
)(root)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error becomes one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    is_allowed = ALLOW_CODE in words
    words = [word for word in words if word not in {"--debug", ALLOW_CODE}] or ["--help"]
    for stream in (sys.stdin, sys.stdout, sys.stderr):  # what is no text there is escaped
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    forget_impossible_sizes()
    os.environ["PYTHONSAFEPATH"] = "1"  # no child process imports from the current folder
    spare_threads()
    try:
        code = copy_context().run(run, words, debug=debug, allow_code=is_allowed)
        if code == INTERRUPTED:
            _report(KeyboardInterrupt(), debug)  # Typer turns Ctrl-C in a command into this code
    except BrokenPipeError:  # the reader has ended, as in `vae train | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:  # every error is one line
        return _report(error, debug)
    return code


def run(words: Sequence[str], *, debug: bool, allow_code: bool) -> int:
    """Do a command in this process, or in those that it wants, and return the exit code.

    Consent to import code from outside is for this command alone, so it is called in a context of
    its own.
    """
    if allow_code:
        allow(EVERY_NAME)
    place = find_place()
    if place:
        follow_launcher()
    try:
        with silent(place, debug=debug), warnings.catch_warnings():
            if {"-q", "--quiet"} & set(words):
                show_important_warnings()
            warnings.showwarning = warnings_shown_once()
            refuse_empty(words)
            do = functools.partial(app, words, prog_name="vae", standalone_mode=False)
            return recorded(do)() or 0
    except ProcessesWantedError as wanted:
        count = wanted.count
    from vae_cli.cli._launcher import launch  # imports torch

    with StopSignals() as signals:
        launch([*words, *["--debug"][:debug], *[ALLOW_CODE][:allow_code]], count, signals)
    return 0


def forget_impossible_sizes() -> None:
    """Remove variables that hold no size of a terminal; then the terminal itself is asked for it.

    Rich fails at some of them, and is very slow with a width of a billion.
    """
    for name, sizes in SIZES.items():
        text = os.environ.get(name)
        if text is not None and not (re.fullmatch("[0-9]{1,5}", text) and int(text) in sizes):
            del os.environ[name]


def refuse_empty(words: Sequence[str]) -> None:
    """Refuse an empty text, which no argument of a command can be.

    It comes from a variable of the shell that is not set, and as a path it would be the current
    folder.

    Raises:
        UsageError: a word is empty, or ends after the `=` of an option.
    """
    for before, word in itertools.pairwise(["vae", *words]):
        if not word:
            raise UsageError(f'{before} "": this is empty; is a variable of the shell not set?')
        if re.fullmatch("--[a-z-]+=", word):
            raise UsageError(f'{word}"": this is empty; is a variable of the shell not set?')


def options_of_commands() -> dict[str, set[str]]:
    """The options of each command, as they are typed."""
    group: Any = get_command(app)
    return {
        name: {spelled for one in command.params for spelled in one.opts}
        for name, command in group.commands.items()
    }


def _report(error: BaseException, debug: bool) -> int:
    """Print an error, and return the exit code."""
    if debug:
        traceback.print_exception(error)
    message, code = explain(error, options_of_commands)
    if not must_tell(error, find_place()):
        return code
    if isinstance(error, KeyboardInterrupt | InterruptedRunError):
        Terminal(lasting=True).advice(message)
    else:
        Terminal(lasting=True).error(message)
    return code
