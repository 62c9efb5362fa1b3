"""The options that several commands share, each declared once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from vae_cli.errors import UsageError
from vae_cli.settings import DeviceName

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
