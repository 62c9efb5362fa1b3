"""`vae reconstruct`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli.console import Terminal
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

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.data import Dataset


def command(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMG...", help="Pictures. [default: some of the test set]"),
    ] = None,
    invert: Invert = False,
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            "-n",
            min=1,
            max=1000,
            help="Test images, if no IMG is given. [default: 8]",
        ),
    ] = None,
    draw: Draw = False,
    seed: Seed = None,
    run: RunOption = None,
    device: Device = "auto",
    output: Output = Path("reconstruct.png"),
    scale: Scale = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pass pictures through the latent space: original beside reconstruction.

    Example: `vae reconstruct img.png`
    """
    terminal = Terminal(quiet=quiet)
    check_png(output, *(pictures or []))
    check_idle("--count", bool(count and pictures), "leave out IMG")
    check_idle("--seed", seed is not None and not draw, "add --sample")
    from vae_cli import data, images, latent

    trained = open_run(run, device, terminal)
    generator = seeded(seed, trained, terminal) if draw else None
    names, pixels = (
        read_pictures(pictures, trained.dataset, terminal, invert=invert)
        if pictures
        else first_of_test_set(trained.dataset, count or 8)
    )
    x = data.unit_interval(pixels).to(trained.model.device)
    made = latent.reconstruct(trained.model, x, generator)
    images.write_png(images.grid(images.beside(x, made.images), columns=2, scale=scale), output)
    figures = list(zip(names, made.distortion.tolist(), made.kl.tolist(), strict=True))
    if json:
        rows = [{"image": name, "mse": mse, "kl": kl} for name, mse, kl in figures]
        terminal.json({"output": str(output), "images": rows})
        return
    table = [(name, f"{mse:.2f}", f"{kl:.2f}") for name, mse, kl in figures]
    terminal.table(("image", "MSE", "KL (nats)"), table)
    terminal.result(output)


def read_pictures(
    paths: list[Path], dataset: "Dataset", terminal: Terminal, *, invert: bool
) -> tuple[list[str], "Tensor"]:
    """Names and uint8 pixels `(N, C, H, W)`; says so when a picture looks like a negative."""
    import torch

    from vae_cli import images

    found = [
        images.read(path, dataset.shape, background=dataset.background, invert=invert)
        for path in paths
    ]
    negatives = sum(picture.looks_inverted(dataset.background) for picture in found)
    if negatives:
        learned, seen = ("dark", "light") if dataset.background == 0 else ("light", "dark")
        remedy = "leave out" if invert else "try"
        terminal.remark(
            f"{negatives} of {len(found)} pictures have a {seen} background, "
            f"but {dataset.name} has a {learned} one: {remedy} --invert",
            "yellow",
        )
    return [path.name for path in paths], torch.stack([picture.pixels for picture in found])


def first_of_test_set(dataset: "Dataset", count: int) -> tuple[list[str], "Tensor"]:
    """Names and pixels of the first test images."""
    test = dataset.test()
    labels = [dataset.classes[label] for label in test.labels[:count].tolist()]
    return [f"{index} {label}" for index, label in enumerate(labels)], test.images[:count]
