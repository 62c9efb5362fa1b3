"""Flags that several commands share, and the flags that the schema of settings makes."""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from vae_cli.config import DeviceName, Entry, entries
from vae_cli.errors import UsageError

RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="Run to use, by name or path. [default: the newest finished]",
        rich_help_panel="Model",
    ),
]
Device = Annotated[
    DeviceName,
    typer.Option(
        "--device", help="Where to compute; auto takes the best there is.", rich_help_panel="Model"
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="PNG file to write.", rich_help_panel="Picture"),
]
Columns = Annotated[
    int, typer.Option(min=1, max=1000, help="Tiles a row.", rich_help_panel="Picture")
]
Scale = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        help="Enlarge each pixel; 1 is raw. [default: a tile of about 84 pixels]",
        rich_help_panel="Picture",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=2**63 - 1, help="Seed of the random numbers. [default: random]"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]
Invert = Annotated[
    bool, typer.Option("--invert", help="Swap dark and light, as a photo on white needs.")
]
Draw = Annotated[
    bool, typer.Option("--sample", help="Draw from the posterior in place of its mean.")
]


def check_png(path: Path, *inputs: Path) -> Path:
    """The path, if a PNG can go there without overwriting what is read.

    Raises:
        UsageError: another extension, or one of the inputs.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--output {path}: pictures are written as PNG; end the name with .png")
    if any(os.path.realpath(path) == os.path.realpath(source) for source in inputs):
        raise UsageError(f"--output {path} would overwrite the picture that is read")
    return path


def check_idle(flag: str, idle: bool, remedy: str) -> None:
    """Refuse a flag that would change nothing.

    Raises:
        UsageError: it is idle.
    """
    if idle:
        raise UsageError(f"{flag} has no effect here: leave it out, or {remedy}")


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag for each setting that has one.

    In their place the command receives `typed`: the tables of those that were typed.
    """
    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.name != "typed"]
    flags = {entry.flag[2:].replace("-", "_"): entry for entry in entries() if entry.flag}

    @functools.wraps(command)
    def wrapper(context: typer.Context, **values: Any) -> None:
        typed: dict[str, dict[str, Any]] = {}
        for name, entry in flags.items():
            value, source = values.pop(name), context.get_parameter_source(name)
            if source is not None and source.name == "COMMANDLINE":
                typed.setdefault(entry.section, {})[entry.name] = value
        command(**values, typed=typed)

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    made = [_parameter(name, entry) for name, entry in flags.items()]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[context, *made, *keyword]
    )
    return wrapper


def _parameter(name: str, entry: Entry) -> inspect.Parameter:
    repeated = isinstance(entry.default, tuple)
    kind = list[int] if repeated else entry.type
    option = typer.Option(
        entry.flag,
        help=entry.help,
        min=None if entry.open_below else entry.low,
        max=entry.high,
        rich_help_panel=entry.section.capitalize(),
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=list(entry.default) if repeated else entry.default,
        annotation=Annotated[kind, option],
    )
