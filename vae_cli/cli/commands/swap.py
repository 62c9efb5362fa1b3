"""`vae swap`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli._conditions import find_told_class, require_told_classes, tell
from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import (
    FittingGroup,
    Items,
    RunGroup,
    parse_dims,
    read_items,
    show_kl,
    sort_dims,
    take_items_of_classes,
    take_kl,
)
from vae_cli.cli._options import (
    Data,
    NoCaptions,
    ResultTerminal,
    refuse_unused,
)
from vae_cli.cli._pictures import ItemsOutput, PicturesOutput
from vae_cli.data.cells import NO_CLASS
from vae_cli.errors import UsageError
from vae_cli.files import Output

if TYPE_CHECKING:
    from vae_cli.api.arrays import Array
    from vae_cli.api.model import TrainedModel
    from vae_cli.rendering.grid import Layout

PAIR = 2  # items


def command(
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="Two pictures, or a table of two rows. "
            "[default: a test item of the first class and one of the last]",
        ),
    ] = None,
    dim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K",
            help="Exchange this dimension; 1,2 exchanges both. [default: the one with the "
            "largest KL]",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Use a test item of this class, if no FILE is given; two of them as in 1,7. One "
            "class alone, or all, of a run with --condition label: keep the latent of each item, "
            "and decode it as that class.",
        ),
    ] = None,
    fitting: FittingGroup,
    run: RunGroup,
    data: Data = None,
    output: PicturesOutput,
    no_captions: NoCaptions = False,
    terminal: ResultTerminal,
) -> None:
    """Exchange a latent dimension between two pictures, or rows, and decode both.

    Each line of the picture shows an item, its reconstruction, and the same with the latent of the
    other item. Or exchange classes: each line shows an item as it would be in other classes.

    Example: `vae swap a.png b.png --dim 3`, `vae swap --class bag --class coat --dim 3`, or
    `vae swap a.png --class all`
    """
    wanted = output.request(terminal, [*(files or []), data])
    is_one = classes is not None and len(classes) == 1 and "," not in classes[0]
    refuse_unused("--class", bool(classes and files) and not is_one, "leave out FILE")
    refuse_unused("--data", data is not None and bool(files), "leave out FILE")
    fitting.require_use(has_file=bool(files))
    model = run.open(terminal, data, outputs=[wanted])
    model.require_vectors("vae swap")
    path = wanted.open_items(model.kind, "swap")
    if classes and is_one and model.spec.condition:
        refuse_unused("--dim", bool(dim), "name two classes")
        names = find_targets(model, classes[0])
        with terminal.spinner("reading"):
            items = read_items(model, files, terminal, fitting) if files else take_each(model)
        exchange_classes(model, items, names, path, output, terminal, has_captions=not no_captions)
        return
    refuse_unused("--class", bool(classes and files), "leave out FILE")
    kl_by_dim, latent_dim = model.kl_by_dim, model.model.latent_dim
    largest = str(sort_dims(kl_by_dim, latent_dim)[0])
    dims = parse_dims(dim or [largest], kl_by_dim, latent_dim)
    with terminal.spinner("reading"):
        found = (
            read_items(model, files, terminal, fitting)
            if files
            else take_items_of_classes(model, classes or [])
        )
    require_pair(found, files or classes or [])
    above, has_captions = title_columns(dims), not no_captions
    layout = output.lay_out(len(above), has_captions=has_captions, above=above, left=found.names)
    with terminal.spinner("decoding"):
        means = write_swap(model, found, dims, path, layout)
    print_means(terminal, path, found, dims, means, model)


def find_targets(model: "TrainedModel", name: str) -> list[str]:
    """The classes that items are decoded as: one, or all.

    Raises:
        UsageError: there is no such class, or the model is not told the class.
    """
    column = require_told_classes(model, name)
    if name == "all" and name not in column.categories:
        return list(column.categories)
    return [found or NO_CLASS for found in find_told_class(model, name).values()]


def take_each(model: "TrainedModel") -> Items:
    """One test item of each class that the test set has."""
    found = model.test_set()
    classes, labels = found.spec.classes, found.split.labels
    return take_items_of_classes(model, [classes[one] for one in labels.unique().tolist()])


def exchange_classes(
    model: "TrainedModel",
    found: Items,
    names: Sequence[str],
    path: Output,
    output: ItemsOutput,
    terminal: Terminal,
    *,
    has_captions: bool,
) -> None:
    """Write the items as other classes, and say where."""
    with terminal.spinner("decoding"):
        write_classes(model, found, names, path, output, has_captions=has_captions)
    if terminal.wants_json:
        facts = {"output": str(path), "items": found.describe(), "classes": list(names)}
        terminal.json(facts)
        return
    terminal.result(path)


def write_classes(
    model: "TrainedModel",
    found: Items,
    names: Sequence[str],
    path: Output,
    output: ItemsOutput,
    *,
    has_captions: bool,
) -> None:
    """Write the items, their reconstructions, and what their latents are as other classes."""
    import numpy as np

    from vae_cli.rendering.arrangements import Grid

    latents = model.latents(found.items, found.y)
    read = model.converter.read(found.items, found.y)
    decoded = [model.decode(latents, read.condition)]
    for name in names:
        told = tell(model, found, find_told_class(model, name))
        decoded.append(model.decode(latents, told.y))
    shown = np.stack([read.items.numpy(), *decoded], 1)
    width, count = shown.shape[1], len(shown)
    places = {
        "item": np.repeat(np.arange(1, count + 1)[:, None], width, 1),
        "decoded": np.repeat(np.arange(width)[None].clip(max=1), count, 0),
        "class": np.repeat((np.arange(width)[None] - 1).clip(min=0), count, 0),
    }
    above = ("original", "decoded", *names)
    layout = output.lay_out(width, has_captions=has_captions, above=above, left=found.names)
    model.kind.writer(layout).write_arrangement(Grid(items=shown, places=places), path)


def require_pair(found: Items, typed: Sequence[object]) -> None:
    """Check that there are two items.

    Raises:
        UsageError: there are not.
    """
    if len(found.items) != PAIR:
        named = ", ".join(map(str, typed))
        raise UsageError(f"{named}: an exchange needs two items, not {len(found.items)}")


def title_columns(dims: Sequence[int]) -> tuple[str, str, str]:
    """The captions of the three columns."""
    exchanged = f"z{dims[0]}" if len(dims) == 1 else f"{len(dims)} latents"
    return "original", "decoded", f"{exchanged} of\nthe other"


def write_swap(
    model: "TrainedModel", found: Items, dims: Sequence[int], path: Output, layout: "Layout"
) -> "Array":
    """Write the items, their reconstructions and the exchanged ones; returns the means `(2, D)`."""
    import numpy as np
    import torch

    from vae_cli.latent.interpolation import exchange
    from vae_cli.rendering.arrangements import Grid

    read = model.converter.read(found.items, found.y)
    means = model.latents(found.items, found.y)
    exchanged = model.decode(exchange(torch.from_numpy(means), dims), read.condition)
    shown = np.stack([read.items, model.decode(means, read.condition), exchanged], 1)
    places = {"item": [[1] * 3, [2] * 3], "decoded": [[0, 1, 1]] * 2, "exchanged": [[0, 0, 1]] * 2}
    model.kind.writer(layout).write_arrangement(Grid(items=shown, places=places), path)
    return means


def print_means(
    terminal: Terminal,
    path: Output,
    found: Items,
    dims: Sequence[int],
    means: "Array",
    model: "TrainedModel",
) -> None:
    """Print the exchanged means, and the path of the picture."""
    kl = take_kl(model.kl_by_dim, dims)
    rows = [(dim, nats, *means[:, dim].tolist()) for dim, nats in zip(dims, kl, strict=True)]
    if terminal.wants_json:
        keys = ("dim", "kl", "first", "second")
        records = [dict(zip(keys, row, strict=True)) for row in rows]
        terminal.json({"output": str(path), "items": found.describe(), "exchanged": records})
        return
    header = ("dimension", "KL (nats)", *found.names)
    table = [(str(row[0]), *(show_kl(value, 3) for value in row[1:])) for row in rows]
    terminal.table(header, table)
    terminal.result(path)
