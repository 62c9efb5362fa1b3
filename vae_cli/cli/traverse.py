"""`vae traverse`."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.inputs import held_out_items, read_items
from vae_cli.cli.offsets import parse_offsets
from vae_cli.cli.open import open_run, seeded
from vae_cli.cli.options import (
    Device,
    Draw,
    Invert,
    Json,
    MovingOutput,
    Quiet,
    RunOption,
    Scale,
    Seed,
    check_idle,
)
from vae_cli.cli.outputs import check_output, is_moving, output_for, write_items
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from vae_cli.data import Spec


def command(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Start from this picture or a table's first row. [default: a test item]",
        ),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(
            metavar="START:STOP:STEP",
            help="What is added to the latent, one column each; STOP is left out. "
            "[default: -0.5:3:0.25, with --dim -3:3.5:0.5]",
        ),
    ] = None,
    dim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K|all", help="Shift only this dimension; repeat for more rows, or all."
        ),
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, help="Which test item, if no FILE is given. [default: 0]")
    ] = None,
    invert: Invert = False,
    draw: Draw = False,
    seed: Seed = None,
    run: RunOption = None,
    device: Device = "auto",
    output: MovingOutput = None,
    scale: Scale = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Walk through the latent space around one picture, or row.

    Example: `vae traverse --offset -0.5:3:0.25`, or `vae traverse --dim all -o traverse.gif`
    """
    terminal = Terminal(quiet=quiet)
    check_output(output, [file] if file else [], moving=True)
    check_idle("--index", index is not None and file is not None, "leave out FILE")
    check_idle("--seed", seed is not None and not draw, "add --sample")
    offsets = parse_offsets(("-3:3.5:0.5" if dim else "-0.5:3:0.25") if offset is None else offset)
    trained = open_run(run, device, terminal)
    spec = trained.spec
    path = output_for(output, "traverse", spec)
    dims = parse_dims(dim, trained.kl_by_dim) if dim else None
    chosen = seeded(seed, terminal) if draw else None
    _, items = (
        read_items([file], spec, terminal, invert=invert)
        if file
        else held_out_items(trained, index or 0, 1)
    )
    tiles = trained.traverse(items[:1], offsets, dims, seed=chosen)
    if is_moving(path):
        animate(tiles, path, scale)
    else:
        if not spec.is_image:
            tiles, spec = with_coordinates(tiles, dims, offsets, spec)
        flat = tiles.reshape(-1, *tiles.shape[2:])
        write_items(flat, path, spec, columns=len(offsets), scale=scale)
    rows = [(number, float(trained.kl_by_dim[number])) for number in dims or []]
    if json:
        figures = [{"dim": number, "kl": kl} for number, kl in rows]
        terminal.json({"output": str(path), "offsets": offsets, "rows": figures})
        return
    if rows:
        table = [(str(row), number, f"{kl:.3f}") for row, (number, kl) in enumerate(rows, 1)]
        terminal.table(("row", "dimension", "KL (nats)"), table)
    terminal.result(path)


def parse_dims(words: list[str], kl_by_dim: "Tensor") -> list[int]:
    """The dimensions asked for; `all` is every one, the most informative first.

    Raises:
        UsageError: not a number, or out of range.
    """
    if words == ["all"]:
        return kl_by_dim.argsort(descending=True).tolist()
    if "all" in words:
        raise UsageError("--dim all stands alone: it is every dimension already")
    count = len(kl_by_dim)
    allowed = set(map(str, range(count)))
    for word in words:
        if word not in allowed:
            raise UsageError(f"--dim {word}: choose 0 to {count - 1}, or all")
    return [int(word) for word in words]


def animate(tiles: "ndarray", path: Path, scale: int | None) -> None:
    """Tiles `(R, K, C, H, W)` as a frame an offset, its rows side by side, there and back.

    Raises:
        UsageError: the frames would be too large.
        VAEError: the file cannot be written.
    """
    from vae_cli import animation

    frames = animation.there_and_back(tiles.swapaxes(0, 1))
    animation.write(frames, path, columns=math.ceil(math.sqrt(len(tiles))), scale=scale)


def with_coordinates(
    rows: "ndarray", dims: list[int] | None, offsets: list[float], spec: "Spec"
) -> "tuple[ndarray, Spec]":
    """Rows `(R, K, D)` with the dimension that was shifted, if only one was, and by how much."""
    import numpy as np

    shifts = np.broadcast_to(np.array(offsets), rows.shape[:2])
    known = {"offset": shifts}
    if dims is not None:
        known = {"dimension": np.broadcast_to(np.array(dims)[:, None], shifts.shape), **known}
    wider = np.concatenate([np.stack(list(known.values()), -1), rows], -1)
    return wider, dataclasses.replace(spec, columns=(*known, *spec.columns))
