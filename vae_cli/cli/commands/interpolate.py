"""`vae interpolate`."""

from pathlib import Path
from typing import Annotated

import typer

from vae_cli.cli._conditions import ask_condition, tell
from vae_cli.cli._inputs import (
    FittingGroup,
    RunGroup,
    read_items,
    take_items_of_classes,
)
from vae_cli.cli._options import (
    Data,
    NoCaptions,
    QuietTerminal,
    WhereCondition,
    refuse_unused,
)
from vae_cli.cli._pictures import AnimatedOutput
from vae_cli.errors import UsageError


def command(
    *,
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
    fitting: FittingGroup,
    run: RunGroup,
    data: Data = None,
    where: WhereCondition = None,
    output: AnimatedOutput,
    no_captions: NoCaptions = False,
    terminal: QuietTerminal,
) -> None:
    """Decode the path from the latent of one picture, or row, to that of the next.

    In a picture, the originals are at both ends of each row, unless it has no captions. What a
    conditional model is told changes on the way too, from one item's own to the next one's, unless
    --where says the same of all.

    Example: `vae interpolate a.png b.png --steps 10`, or `vae interpolate --class bag --class coat`
    """
    wanted = output.request(terminal, [*(files or []), data])
    refuse_unused("--class", bool(classes and files), "leave out FILE")
    refuse_unused("--data", data is not None and bool(files), "leave out FILE")
    fitting.require_use(has_file=bool(files))
    if classes and len(classes) == 1 and "," not in classes[0]:
        raise UsageError(f"--class {classes[0]}: name two classes or more, as in --class A,B")
    model = run.open(terminal, data, outputs=[wanted])
    model.require_vectors("vae interpolate")
    path = wanted.open_items(model.kind, "interpolate")
    told = ask_condition(model, None, where or [])
    with terminal.spinner("reading"):
        found = (
            read_items(model, files, terminal, fitting)
            if files
            else take_items_of_classes(model, classes or [])
        )
        names, items, _, y = tell(model, found, told)
    if not files:
        terminal.remark(f"test items {', '.join(names)}")
    if len(items) < 2:  # noqa: PLR2004
        raise UsageError(
            f"{', '.join(map(str, files or classes or []))} holds one item: name at least two"
        )
    from vae_cli.rendering.arrangements import Interpolation

    shares = [f"{100 * step / (steps - 1):.0f} %" for step in range(steps)]
    above = ["original", *shares, "original"]
    width = steps if no_captions else len(above)
    layout = output.lay_out(
        width, has_captions=not no_captions, above=above, left=names[:-1], right=names[1:]
    )
    writer = model.kind.writer(layout)
    writer.require_writable((len(items) - 1) * width, path)
    with terminal.spinner("decoding"):
        paths = model.interpolate(items, steps, spherical=spherical, y=y)
        shown = Interpolation(items=paths, originals=None if no_captions else items)
        writer.write_arrangement(shown, path)
    terminal.result(path)
