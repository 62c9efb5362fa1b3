"""`vae sample`."""

from typing import Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.open import open_run, seeded
from vae_cli.cli.options import Columns, Device, Output, Quiet, RunOption, Scale, Seed
from vae_cli.cli.outputs import check_output, output_for, write_items


def command(
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=1_000_000, help="Items to draw.")
    ] = 64,
    temperature: Annotated[
        float,
        typer.Option(
            min=0, max=100, help="Scale of the draws: below 1 more typical, above 1 more varied."
        ),
    ] = 1.0,
    seed: Seed = None,
    run: RunOption = None,
    device: Device = "auto",
    output: Output = None,
    columns: Columns = 8,
    scale: Scale = None,
    quiet: Quiet = False,
) -> None:
    """Decode draws from the prior: images, or rows, that never were.

    Example: `vae sample -n 64 --seed 7`
    """
    terminal = Terminal(quiet=quiet)
    check_output(output)
    trained = open_run(run, device, terminal)
    spec = trained.spec
    path = output_for(output, "sample", spec)
    drawn = trained.sample(count, temperature=temperature, seed=seeded(seed, terminal))
    write_items(drawn, path, spec, columns=columns, scale=scale)
    terminal.result(path)
