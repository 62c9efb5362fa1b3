"""The options that several commands share, each declared once, and groups of them.

A command's signature has its own options, and one parameter for each group: `terminal:
ResultTerminal` stands for `--json` and `--quiet`. `expand_groups` shows Typer the options, and
hands the command the object that is made of their values.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, final, get_args

import typer

from vae_cli.cli._console import Terminal
from vae_cli.errors import UsageError
from vae_cli.settings import DeviceName


@final
@dataclass(frozen=True)
class OptionGroup:
    """Marks a parameter of a command that stands for several options.

    Example: `Annotated[Terminal, OptionGroup(make_terminal)]`.

    Attributes:
        make: its parameters are the options, and it returns the object that the command gets.
    """

    make: Callable[..., object]

    @property
    def options(self) -> list[inspect.Parameter]:
        """The parameters that Typer sees instead of the group."""
        kind = inspect.Parameter.KEYWORD_ONLY
        return [one.replace(kind=kind) for one in inspect.signature(self.make).parameters.values()]


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of its groups, in their place, instead of the groups."""
    signature = inspect.signature(command)
    groups = {
        name: note
        for name, parameter in signature.parameters.items()
        for note in get_args(parameter.annotation)
        if isinstance(note, OptionGroup)
    }
    shown: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        shown += groups[name].options if name in groups else [parameter]

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        typed = {
            name: {option.name: values.pop(option.name) for option in group.options}
            for name, group in groups.items()
        }
        made = {name: group.make(**typed[name]) for name, group in groups.items()}
        command(**values, **made)

    wrapper.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return wrapper


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
ClassOption = Annotated[
    str | None,
    typer.Option(
        "--class",
        metavar="NAME",
        help="Class that the model is told, if it was trained with --condition label; (none) is "
        "none.",
        rich_help_panel="Model",
    ),
]
WhereCondition = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="What the model is told, if it was trained with --condition COLUMN, as in sex=F.",
        rich_help_panel="Model",
    ),
]


def output_option(text: str) -> Any:
    """The option of the file that a command writes; `text` is its help."""
    return typer.Option("--output", "-o", help=text, rich_help_panel="Output")


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
NoCaptions = Annotated[
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
FixedSeed = Annotated[
    int, typer.Option("--seed", min=0, max=2**63 - 1, help="Seed of the random numbers.")
]
SamplePosterior = Annotated[
    bool, typer.Option("--sample", help="Sample the posterior instead of using its mean.")
]

Processes = Annotated[
    int,
    typer.Option(
        "--processes", min=1, max=1024, help="Processes that share the work; on GPUs, each has one."
    ),
]

Noise = Annotated[
    bool,
    typer.Option("--noise", help="Show a sample of the likelihood p(x|z) instead of its mean."),
]

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only errors, and what may make results wrong.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]


def make_terminal(*, json: Json = False, quiet: Quiet = False) -> Terminal:
    """The terminal of a command that prints results."""
    return Terminal(quiet=quiet, wants_json=json)


def make_quiet_terminal(*, quiet: Quiet = False) -> Terminal:
    """The terminal of a command that has no results but a file."""
    return Terminal(quiet=quiet)


def make_training_terminal(*, json: Json = False, quiet: Quiet = False) -> Terminal:
    """The terminal of a command that trains: lost output does not end it, and JSON is the end."""
    return Terminal(quiet=quiet or json, wants_json=json, lasting=True)


ResultTerminal = Annotated[Terminal, OptionGroup(make_terminal)]
QuietTerminal = Annotated[Terminal, OptionGroup(make_quiet_terminal)]
TrainingTerminal = Annotated[Terminal, OptionGroup(make_training_terminal)]


def refuse_unused(flag: str, unused: bool, remedy: str) -> None:
    """Refuse a flag that has no effect.

    Raises:
        UsageError: it has none.
    """
    if unused:
        raise UsageError(f"{flag} has no effect here: leave it out, or {remedy}")
