"""Options that several commands share, and the options that are made from the schema."""

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from vae_cli.data.cells import split_names
from vae_cli.errors import UsageError
from vae_cli.settings import DeviceName, Entry, entries

RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="Name or path of the run to use. [default: the newest finished run]",
        rich_help_panel="Model",
    ),
]
Device = Annotated[
    DeviceName,
    typer.Option(
        "--device",
        help="Device to compute on; auto takes the fastest that is available.",
        rich_help_panel="Model",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Data to take test items from. [default: the data of the run]",
        rich_help_panel="Model",
    ),
]
OutputPath = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write: .png or .jpg, or .csv for rows. [default: the command's name]",
        rich_help_panel="Output",
    ),
]
AnimatedOutputPath = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write: .png or .jpg, .gif or .webp for an animation, or .csv for rows. "
        "[default: the command's name]",
        rich_help_panel="Output",
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Replace a file that vae did not write; never data or files of a run.",
        rich_help_panel="Output",
    ),
]
Columns = Annotated[
    int, typer.Option(min=1, max=1000, help="Tiles per row.", rich_help_panel="Output")
]
Scale = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=64,
        help="Edge of an enlarged pixel; 1 is the original size. "
        "[default: tiles of 84 pixels or more]",
        rich_help_panel="Output",
    ),
]
Gap = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=64,
        help="Pixels between tiles. [default: half an enlarged pixel]",
        rich_help_panel="Output",
    ),
]
Bare = Annotated[
    bool,
    typer.Option(
        "--no-captions",
        help="Write the tiles of a picture alone, without text.",
        rich_help_panel="Output",
    ),
]
Page = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Page of a picture of more items than fit on a screen. [default: 1]",
        rich_help_panel="Output",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=2**63 - 1, help="Seed of the random numbers. [default: random]"),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Invert = Annotated[
    bool, typer.Option("--invert", help="Invert the brightness, as a photo on white needs.")
]
FitName = Literal["training", "object"]
Fit = Annotated[
    FitName,
    typer.Option(
        "--fit",
        help="How a picture is fitted: as in the training; or object, which is what differs from "
        "its border, drawn in the middle as in MNIST.",
    ),
]
SamplePosterior = Annotated[
    bool, typer.Option("--sample", help="Sample the posterior instead of using its mean.")
]

Noise = Annotated[
    bool,
    typer.Option("--noise", help="Show a sample of the likelihood p(x|z) instead of its mean."),
]


def refuse_unused(flag: str, unused: bool, remedy: str) -> None:
    """Refuse a flag that has no effect.

    Raises:
        UsageError: it has none.
    """
    if unused:
        raise UsageError(f"{flag} has no effect here: leave it out, or {remedy}")


def refuse_fitting(
    fit: FitName, *, invert: bool, has_file: bool, remedy: str = "name a FILE"
) -> None:
    """Refuse `--fit` and `--invert` if no file is read, or if one of them does the other's work.

    Raises:
        UsageError: one of them has no effect.
    """
    refuse_unused("--invert", invert and not has_file, remedy)
    refuse_unused("--fit", fit != "training" and not has_file, remedy)
    refuse_unused("--invert", invert and fit == "object", "leave out --fit object")


def with_settings(*sections: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one flag for each setting in some sections, or in all if none is named.

    Instead of the flags, the command receives `typed`: the tables of the settings that were typed.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.name != "typed"]
        flags = {
            entry.flag[2:].replace("-", "_"): entry
            for entry in entries()
            if entry.flag and (not sections or entry.section in sections)
        }

        @functools.wraps(command)
        def wrapper(context: typer.Context, **values: Any) -> None:
            typed: dict[str, dict[str, Any]] = {}
            for name, entry in flags.items():
                value, source = values.pop(name), context.get_parameter_source(name)
                if source is not None and source.name == "COMMANDLINE":
                    value = parse_list(entry, value) if isinstance(value, list) else value
                    typed.setdefault(entry.section, {})[entry.name] = value
            command(**values, typed=typed)

        kind = inspect.Parameter.KEYWORD_ONLY
        context = inspect.Parameter("context", kind, annotation=typer.Context)
        made = [_parameter(name, entry) for name, entry in flags.items()]
        wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[context, *made, *(p.replace(kind=kind) for p in own)]
        )
        return wrapper

    return decorate


def parse_list(entry: Entry, texts: Sequence[str]) -> list[int] | list[str]:
    """The parts of a list that is typed as `--hidden 400 --hidden 200` or `400,200`.

    They are whole numbers, or names. A name with a comma is written in quotation marks.

    Raises:
        UsageError: a part is not a whole number, or a name is empty.
    """
    if str in get_args(entry.type):
        names = [name for text in texts for name in split_names(text)]
        if not all(names):
            raise UsageError(f"{entry.flag} {' '.join(texts)}: a name is empty")
        return names
    for text in texts:
        if not re.fullmatch(r"\s*\d{1,9}\s*(,\s*\d{1,9}\s*)*", text, re.ASCII):
            raise UsageError(f"{entry.flag} {text}: write a whole number, or several as in 400,200")
    return [int(part) for text in texts for part in text.split(",")]


def accepted_words() -> dict[str, str]:
    """The words that are accepted for names and values of flags, and the words that they mean."""
    words: dict[str, str] = {}
    for entry in entries():
        if entry.alias and entry.flag:
            words[entry.alias] = entry.flag.removeprefix("--")
        words.update(entry.spellings)
    return words


def _parameter(name: str, entry: Entry) -> inspect.Parameter:
    repeated = isinstance(entry.default, tuple)
    kind = list[str] if repeated else entry.type
    option = typer.Option(
        entry.flag,
        help=entry.help,
        metavar=entry.metavar or ("N" if repeated else None),
        min=None if entry.open_below else entry.low,
        max=entry.high,
        rich_help_panel=entry.section.capitalize(),
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=list(map(str, entry.default)) if repeated else entry.default,
        annotation=Annotated[kind, option],
    )
