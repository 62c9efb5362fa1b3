"""`vae data`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli.console import Terminal
from vae_cli.cli.options import Columns, Json, Output, Quiet, Scale, check_png
from vae_cli.config import DataName

if TYPE_CHECKING:
    from torch import Tensor

    from vae_cli.data import Split


def command(
    name: Annotated[DataName, typer.Option("--data", help="Data set to show.")] = "fashion-mnist",
    columns: Columns = 6,
    output: Output = Path("data.png"),
    scale: Scale = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a data set: its classes, and a picture of labelled examples.

    Example: `vae data`
    """
    terminal = Terminal(quiet=quiet)
    check_png(output)
    from vae_cli import build, data, images

    dataset = build.dataset(name)
    train, test = dataset.train(), dataset.test()
    examples = data.unit_interval(first_of_each_class(train, len(dataset.classes), columns))
    picture = images.grid(examples, columns=columns, scale=scale, labels=dataset.classes)
    images.write_png(picture, output)
    counts = [train.labels.bincount().tolist(), test.labels.bincount().tolist()]
    rows = list(zip(dataset.classes, *counts, strict=True))
    if json:
        classes = [{"name": name, "train": a, "test": b} for name, a, b in rows]
        terminal.json({"name": dataset.name, "shape": dataset.shape, "classes": classes})
        return
    terminal.table(
        ("class", "train", "test"), [*rows, ("all", len(train.labels), len(test.labels))]
    )
    terminal.result(output)


def first_of_each_class(split: "Split", classes: int, count: int) -> "Tensor":
    """The first `count` images of each class in turn: uint8 `(classes * count, C, H, W)`."""
    import torch

    rows = [(split.labels == label).nonzero()[:count, 0] for label in range(classes)]
    return split.images[torch.cat(rows)]
