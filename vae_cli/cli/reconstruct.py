"""`vae reconstruct`."""

from pathlib import Path
from typing import Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.inputs import held_out_items, read_items
from vae_cli.cli.open import open_run, seeded
from vae_cli.cli.options import (
    Device,
    Draw,
    Invert,
    Json,
    Output,
    Quiet,
    RunOption,
    Scale,
    Seed,
    check_idle,
)
from vae_cli.cli.outputs import check_output, output_for, write_items

LISTED = 100  # items whose figures stand in the table
A_COLUMN = 10  # pairs that stand below each other


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="Pictures, folders of them, or tables. [default: some of the test set]",
        ),
    ] = None,
    invert: Invert = False,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            min=1,
            max=1000,
            help="Test items, if no FILE is given. [default: 8]",
        ),
    ] = None,
    draw: Draw = False,
    seed: Seed = None,
    run: RunOption = None,
    device: Device = "auto",
    output: Output = None,
    scale: Scale = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pass pictures, or rows, through the latent space: original beside reconstruction.

    Rows of a table come back as their reconstructions alone, under the same columns.

    Example: `vae reconstruct img.png`
    """
    terminal = Terminal(quiet=quiet)
    check_output(output, files or [])
    check_idle("--count", bool(count and files), "leave out FILE")
    check_idle("--seed", seed is not None and not draw, "add --sample")
    from vae_cli import images

    trained = open_run(run, device, terminal)
    spec = trained.spec
    path = output_for(output, "reconstruct", spec)
    chosen = seeded(seed, terminal) if draw else None
    names, x = (
        read_items(files, spec, terminal, invert=invert)
        if files
        else held_out_items(trained, 0, count or 8)
    )
    if count and len(x) < count:
        terminal.remark(f"the test set has {len(x)} items", "yellow")
    made = trained.reconstruct(x, seed=chosen)
    shown = images.beside(x, made.items) if spec.is_image else made.items
    write_items(shown, path, spec, columns=tiles_a_row(len(x)), scale=scale)
    figures = list(zip(names, made.distortion.tolist(), made.kl.tolist(), strict=True))
    key = "mse" if spec.is_image else "nll"
    if json:
        rows = [{"image": name, key: distortion, "kl": kl} for name, distortion, kl in figures]
        terminal.json({"output": str(path), "images": rows})
        return
    means = (f"mean of {len(x):,}", float(made.distortion.mean()), float(made.kl.mean()))
    shown_rows = figures if len(figures) <= LISTED else [means]
    table = [(name, f"{distortion:.2f}", f"{kl:.2f}") for name, distortion, kl in shown_rows]
    terminal.table(("", key.upper(), "KL (nats)"), table)
    terminal.result(path)


def tiles_a_row(pairs: int) -> int:
    """Of originals and reconstructions, so that few stand in a column and many fill a page."""
    if pairs <= A_COLUMN:
        return 2
    return 8 if pairs <= LISTED else 16
