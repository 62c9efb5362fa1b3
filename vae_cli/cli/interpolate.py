"""`vae interpolate`."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.inputs import items_of_classes, read_items
from vae_cli.cli.open import open_run
from vae_cli.cli.options import Device, Invert, MovingOutput, Quiet, RunOption, Scale, check_idle
from vae_cli.cli.outputs import check_output, is_moving, output_for, write_items
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from numpy import ndarray

    from vae_cli.data import Spec


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
        int, typer.Option(min=2, max=200, help="Tiles from one item to the next, both included.")
    ] = 10,
    spherical: Annotated[
        bool, typer.Option("--spherical", help="Go along the great circle, not the straight line.")
    ] = False,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Take a test item of this class, if no FILE is given; repeat for the next.",
        ),
    ] = None,
    invert: Invert = False,
    run: RunOption = None,
    device: Device = "auto",
    output: MovingOutput = None,
    scale: Scale = None,
    quiet: Quiet = False,
) -> None:
    """Turn one picture, or row, into the next, through the latent space.

    Example: `vae interpolate a.png b.png --steps 10`, or `vae interpolate --class bag --class coat`
    """
    terminal = Terminal(quiet=quiet)
    check_output(output, files or [], moving=True)
    check_idle("--class", bool(classes and files), "leave out FILE")
    check_idle("--invert", invert and not files, "name a FILE")
    if classes and len(classes) == 1:
        raise UsageError(f"--class {classes[0]}: name two classes or more, each with --class")
    trained = open_run(run, device, terminal)
    spec = trained.spec
    path = output_for(output, "interpolate", spec)
    if files:
        _, items = read_items(files, spec, terminal, invert=invert)
    else:
        names, items = items_of_classes(trained, classes or [])
        terminal.remark(f"test items {', '.join(names)}")
    if len(items) < 2:  # noqa: PLR2004
        raise UsageError(f"{', '.join(map(str, files or []))} holds one item: name at least two")
    check_size(len(items), steps, spec)
    ways = trained.interpolate(items, steps, spherical=spherical)
    if is_moving(path):
        animate(ways, path, scale)
    else:
        if not spec.is_image:
            ways, spec = with_places(ways, spec)
        write_items(ways.reshape(-1, *ways.shape[2:]), path, spec, columns=steps, scale=scale)
    terminal.result(path)


def check_size(count: int, steps: int, spec: "Spec") -> None:
    """Refuse ways that are too long to hold.

    Raises:
        UsageError: they are.
    """
    from vae_cli import images

    if (count - 1) * steps * math.prod(spec.shape) > images.MAX_GRID_PIXELS:
        raise UsageError(f"{steps} steps between each of {count:,} items are too many")


def animate(ways: "ndarray", path: Path, scale: int | None) -> None:
    """Ways `(N, K, C, H, W)` one after another, a shared end once, and back again.

    Raises:
        UsageError: the frames would be too large.
        VAEError: the file cannot be written.
    """
    import numpy as np

    from vae_cli import animation

    whole = np.concatenate([ways[:, :-1].reshape(-1, *ways.shape[2:]), ways[-1, -1:]])
    frames = animation.there_and_back(whole[:, None])
    animation.write(frames, path, columns=1, scale=scale)


def with_places(rows: "ndarray", spec: "Spec") -> "tuple[ndarray, Spec]":
    """Rows `(N, K, D)` with the number of their way and of their step, both from 1."""
    import numpy as np

    places = np.moveaxis(np.indices(rows.shape[:2]), 0, -1) + 1
    wider = np.concatenate([places, rows], -1)
    return wider, dataclasses.replace(spec, columns=("way", "step", *spec.columns))
