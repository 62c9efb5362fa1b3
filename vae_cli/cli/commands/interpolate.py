"""`vae interpolate`."""

from pathlib import Path
from typing import Annotated

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import open_run, read_items, take_items_of_classes
from vae_cli.cli._options import (
    AnimatedOutputPath,
    Bare,
    Data,
    Device,
    Fit,
    Force,
    Gap,
    Invert,
    Quiet,
    RunOption,
    Scale,
    refuse_fitting,
    refuse_unused,
)
from vae_cli.cli._output import Request, require_items_name
from vae_cli.cli._pictures import make_frame
from vae_cli.errors import UsageError


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="Pictures, folders of them, or tables: at least two items. "
            "[default: a test item of the first class and one of the last]",
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(min=2, max=200, help="Tiles from one item to the next, including both."),
    ] = 10,
    spherical: Annotated[
        bool,
        typer.Option("--spherical", help="Use a great circle instead of a straight line."),
    ] = False,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Use a test item of this class, if no FILE is given; several as in 1,7.",
        ),
    ] = None,
    invert: Invert = False,
    fit: Fit = "training",
    run: RunOption = None,
    device: Device = "auto",
    data: Data = None,
    output: AnimatedOutputPath = None,
    force: Force = False,
    scale: Scale = None,
    gap: Gap = None,
    bare: Bare = False,
    quiet: Quiet = False,
) -> None:
    """Decode the path from the latent of one picture, or row, to that of the next.

    In a picture, the originals are at both ends of each row, unless it has no captions.

    Example: `vae interpolate a.png b.png --steps 10`, or `vae interpolate --class bag --class coat`
    """
    terminal = Terminal(quiet=quiet)
    require_items_name(output, animated=True)
    inputs = [*(files or []), data]
    wanted = Request(output, terminal, inputs=inputs, force=force)
    refuse_unused("--class", bool(classes and files), "leave out FILE")
    refuse_unused("--data", data is not None and bool(files), "leave out FILE")
    refuse_fitting(fit, invert=invert, has_file=bool(files))
    if classes and len(classes) == 1 and "," not in classes[0]:
        raise UsageError(f"--class {classes[0]}: name two classes or more, as in --class A,B")
    model = open_run(run, device, terminal, data, outputs=[wanted])
    path = wanted.open_items(model.kind, "interpolate")
    with terminal.spinner("reading"):
        names, items, _ = (
            read_items(model, files, terminal, invert=invert, fit=fit)
            if files
            else take_items_of_classes(model, classes or [])
        )
    if not files:
        terminal.remark(f"test items {', '.join(names)}")
    if len(items) < 2:  # noqa: PLR2004
        raise UsageError(
            f"{', '.join(map(str, files or classes or []))} holds one item: name at least two"
        )
    shares = [f"{100 * step / (steps - 1):.0f} %" for step in range(steps)]
    columns = ["original", *shares, "original"]
    frame = make_frame(gap, bare=bare, columns=columns, rows=names[:-1], ends=names[1:])
    width = steps if bare else len(columns)
    count = (len(items) - 1) * width
    model.kind.require_writable(count, path, columns=width, scale=scale, frame=frame)
    with terminal.spinner("decoding"):
        paths = model.interpolate(items, steps, spherical=spherical)
        model.kind.write_interpolation(paths, path, scale, frame, None if bare else items)
    terminal.result(path)
