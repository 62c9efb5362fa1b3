"""`vae traverse`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.offsets import parse_offsets
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
    check_png,
)
from vae_cli.cli.reconstruct import read_pictures
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.data import Dataset


def command(
    picture: Annotated[
        Path | None,
        typer.Argument(metavar="IMG", help="Start from this picture. [default: a test image]"),
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
        int | None, typer.Option(min=0, help="Which test image, if no IMG is given. [default: 0]")
    ] = None,
    invert: Invert = False,
    draw: Draw = False,
    seed: Seed = None,
    run: RunOption = None,
    device: Device = "auto",
    output: Output = Path("traverse.png"),
    scale: Scale = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Walk through the latent space around one picture.

    Example: `vae traverse --offset -0.5:3:0.25`, or `vae traverse --dim all`
    """
    terminal = Terminal(quiet=quiet)
    check_png(output, *([picture] if picture else []))
    check_idle("--index", index is not None and picture is not None, "leave out IMG")
    check_idle("--seed", seed is not None and not draw, "add --sample")
    offsets = parse_offsets(("-3:3.5:0.5" if dim else "-0.5:3:0.25") if offset is None else offset)
    import torch

    from vae_cli import data, images, latent

    trained = open_run(run, device, terminal)
    model = trained.model
    dims = parse_dims(dim, trained.kl_by_dim) if dim else None
    generator = seeded(seed, trained, terminal) if draw else None
    pixels = (
        read_pictures([picture], trained.dataset, terminal, invert=invert)[1]
        if picture
        else test_image(trained.dataset, index or 0)
    )
    posterior = model.posterior(data.unit_interval(pixels).to(model.device))
    shifts = torch.tensor(offsets, device=model.device)
    tiles = latent.traverse(model, posterior, shifts, dims, generator).flatten(0, 1)
    images.write_png(images.grid(tiles, columns=len(offsets), scale=scale), output)
    rows = [(number, float(trained.kl_by_dim[number])) for number in dims or []]
    if json:
        figures = [{"dim": number, "kl": kl} for number, kl in rows]
        terminal.json({"output": str(output), "offsets": offsets, "rows": figures})
        return
    if rows:
        table = [(str(row), number, f"{kl:.3f}") for row, (number, kl) in enumerate(rows, 1)]
        terminal.table(("row", "dimension", "KL (nats)"), table)
    terminal.result(output)


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


def test_image(dataset: "Dataset", index: int) -> "Tensor":
    """One test image, `(1, C, H, W)` uint8.

    Raises:
        UsageError: there are fewer.
    """
    test = dataset.test().images
    if index >= len(test):
        raise UsageError(f"--index {index}: the test set has images 0 to {len(test) - 1}")
    return test[index : index + 1]
