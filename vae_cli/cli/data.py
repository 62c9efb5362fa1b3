"""`vae data`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli import config
from vae_cli.cli.console import Terminal
from vae_cli.cli.options import Columns, Json, Output, Quiet, Scale, check_idle, with_settings
from vae_cli.cli.outputs import PICTURES, check_output
from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from vae_cli.data import Dataset, Spec, Split

UNNAMED_ROWS = 6  # of a picture of items without classes


@with_settings("data")
def command(
    typed: dict[str, dict[str, Any]],
    name: Annotated[str | None, typer.Argument(metavar="DATA", help="The same as --data.")] = None,
    columns: Columns = 6,
    output: Output = None,
    scale: Scale = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a data set: its classes and some examples, or the columns of a table.

    Example: `vae data photos/`
    """
    terminal = Terminal(quiet=quiet)
    check_output(output)
    check_idle("--data", bool(name) and "name" in typed.get("data", {}), f"leave out {name}")
    named = {"data": {"name": name}} if name else {}
    settings = config.resolve(("command line", typed), ("DATA", named)).data
    from vae_cli import build

    with terminal.bar("reading") as progress:
        dataset = build.dataset(settings, progress)
        train, test = (
            part.head(settings.limit or None) for part in (dataset.train(), dataset.test())
        )
    if not dataset.spec.is_image:
        if output is not None:
            raise UsageError(f"--output {output}: a table of numbers has no picture")
        show_columns(dataset.spec, train, test, terminal, json=json)
        return
    show_classes(dataset, train, test, columns, output, scale, terminal, json=json)


def show_classes(
    dataset: "Dataset",
    train: "Split",
    test: "Split",
    columns: int,
    output: "Path | None",
    scale: int | None,
    terminal: Terminal,
    *,
    json: bool,
) -> None:
    """How many of each class there are, and a picture of examples."""
    from vae_cli import images
    from vae_cli.cli.outputs import output_for

    spec = dataset.spec
    path = output_for(output, "data", spec)
    if path.suffix.lower() not in PICTURES:
        raise UsageError(f"--output {path}: end the name with .png")
    examples = first_of_each_class(train, len(spec.classes), columns)
    picture = images.grid(examples, columns=columns, scale=scale, labels=spec.classes)
    images.write_png(picture, path)
    counts = [part.labels.bincount(minlength=len(spec.classes)).tolist() for part in (train, test)]
    table = list(zip(spec.classes, *counts, strict=True)) if spec.classes else []
    if json:
        classes = [{"name": name, "train": a, "test": b} for name, a, b in table]
        facts = {"name": spec.name, "shape": spec.shape, "train": len(train), "test": len(test)}
        terminal.json({**facts, "classes": classes})
        return
    terminal.table(("class", "train", "test"), [*table, ("all", len(train), len(test))])
    terminal.result(path)


def show_columns(
    spec: "Spec", train: "Split", test: "Split", terminal: Terminal, *, json: bool
) -> None:
    """Each column's mean and standard deviation over the training set."""
    from vae_cli.data import moments

    mean, scale = (values.tolist() for values in moments(train))
    rows = list(zip(spec.columns, mean, scale, strict=True))
    if json:
        columns = [{"name": name, "mean": a, "standard_deviation": b} for name, a, b in rows]
        facts = {"name": spec.name, "shape": spec.shape, "train": len(train), "test": len(test)}
        terminal.json({**facts, "columns": columns})
        return
    terminal.table(
        ("column", "mean", "standard deviation"),
        [(name, f"{a:.5g}", f"{b:.5g}") for name, a, b in rows],
    )
    terminal.result(f"{len(train):,} rows to learn from, {len(test):,} held out")


def first_of_each_class(split: "Split", classes: int, count: int) -> "Tensor":
    """The first `count` images of each class in turn, `(classes * count, C, H, W)`, or of all.

    Where a class has fewer, the colour between the tiles stands in their places.
    """
    import torch

    from vae_cli import images
    from vae_cli.data import gather

    if not classes:
        return gather(split.items, split.rows[: UNNAMED_ROWS * count])
    tiles = torch.full((classes, count, *split.items.shape[1:]), images.GAP / 255)
    for label in range(classes):
        rows = split.rows[split.labels == label][:count]
        tiles[label, : len(rows)] = gather(split.items, rows)
    return tiles.flatten(0, 1)
