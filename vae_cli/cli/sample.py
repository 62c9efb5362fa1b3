"""`vae sample`."""

from pathlib import Path
from typing import Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.open import open_run, seeded
from vae_cli.cli.options import Columns, Device, Output, Quiet, RunOption, Scale, Seed, check_png


def command(
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=10_000, help="Images to draw.")
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
    output: Output = Path("sample.png"),
    columns: Columns = 8,
    scale: Scale = None,
    quiet: Quiet = False,
) -> None:
    """Decode draws from the prior: images that never were.

    Example: `vae sample -n 64 --seed 7`
    """
    terminal = Terminal(quiet=quiet)
    check_png(output)
    from vae_cli import images, latent

    trained = open_run(run, device, terminal)
    generator = seeded(seed, trained, terminal)
    drawn = latent.sample(trained.model, count, temperature=temperature, generator=generator)
    images.write_png(images.grid(drawn, columns=columns, scale=scale), output)
    terminal.result(output)
