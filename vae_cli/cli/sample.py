"""`vae sample`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.open import open_run, seeded
from vae_cli.cli.options import Columns, Device, MovingOutput, Quiet, RunOption, Scale, Seed
from vae_cli.cli.outputs import check_output, is_moving, output_for, write_items

if TYPE_CHECKING:
    from vae_cli.trained import Trained

STEPS = 8  # frames from one draw to the next


def command(
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            min=1,
            max=1_000_000,
            help="Items to draw. [default: 64; 16 for one that moves]",
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            min=0, max=100, help="Scale of the draws: below 1 more typical, above 1 more varied."
        ),
    ] = 1.0,
    seed: Seed = None,
    run: RunOption = None,
    device: Device = "auto",
    output: MovingOutput = None,
    columns: Columns = 8,
    scale: Scale = None,
    quiet: Quiet = False,
) -> None:
    """Decode draws from the prior: images, or rows, that never were.

    Example: `vae sample -n 64 --seed 7`, or `vae sample -n 8 -o sample.gif` to see one become
    the next
    """
    terminal = Terminal(quiet=quiet)
    check_output(output, moving=True)
    trained = open_run(run, device, terminal)
    spec = trained.spec
    path = output_for(output, "sample", spec)
    chosen = seeded(seed, terminal)
    if is_moving(path):
        animate(trained, path, count or 16, temperature, chosen, scale)
    else:
        drawn = trained.sample(count or 64, temperature=temperature, seed=chosen)
        write_items(drawn, path, spec, columns=columns, scale=scale)
    terminal.result(path)


def animate(
    trained: "Trained", path: Path, count: int, temperature: float, seed: int, scale: int | None
) -> None:
    """The same draws, each turning into the next and the last into the first.

    Raises:
        UsageError: there would be too many frames.
        VAEError: the file cannot be written.
    """
    import torch

    from vae_cli import animation, latent

    animation.check(count * STEPS, (1, *trained.spec.shape), columns=1, scale=scale)
    drawn = torch.from_numpy(trained.draw(count, temperature=temperature, seed=seed))
    frames = trained.decode(latent.loop(drawn, STEPS))
    animation.write(frames[:, None], path, columns=1, scale=scale)
