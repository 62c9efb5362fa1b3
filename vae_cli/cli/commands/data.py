"""`vae data`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._options import (
    Columns,
    ResultTerminal,
    refuse_unused,
)
from vae_cli.cli._output import Request
from vae_cli.cli._pictures import PicturesOutput
from vae_cli.cli._settings import with_settings
from vae_cli.data.source import find_source
from vae_cli.errors import UsageError
from vae_cli.settings import DataConfig, merge

if TYPE_CHECKING:
    from vae_cli.data.dataset import Dataset
    from vae_cli.data.split import InMemory
    from vae_cli.rendering.kind import ItemKind


@with_settings("data")
def command(
    *,
    typed: dict[str, dict[str, Any]],
    name: Annotated[str | None, typer.Argument(metavar="DATA", help="The same as --data.")] = None,
    columns: Columns = 6,
    output: PicturesOutput,
    save_example: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the first test item as well, as a picture or a table of one row.",
            rich_help_panel="Output",
        ),
    ] = None,
    terminal: ResultTerminal,
) -> None:
    """Show a data set: its classes and some examples, or the columns of a table.

    Example: `vae data photos/`
    """
    refuse_unused("--data", bool(name) and "name" in typed.get("data", {}), f"leave out {name}")
    named = {"data": {"name": name}} if name else {}
    settings = merge(("command line", typed), ("DATA", named)).data
    find_source(settings.name, "data.name")  # a typo is answered before torch is imported
    inputs = [settings.name]
    shown = output.request(terminal, inputs)
    example = Request(
        save_example, terminal, flag="--save-example", inputs=inputs, force=output.force
    )
    shown.check()
    example.check({str(output.path or "data.png"): "the picture of --output"})
    dataset, splits = read_dataset(settings, terminal)
    from vae_cli.rendering import kind_of

    kind, test = kind_of(dataset.spec), splits["test"]
    example.refuse_standard_output(f"example{kind.suffix}")
    if save_example and save_example.suffix.lower() != kind.suffix:
        raise UsageError(
            f"--save-example {save_example}: {dataset.spec.name} is of {kind.items_name}; "
            f"end it with {kind.suffix}"
        )
    picture = shown.open_items(kind, "data") if dataset.spec.is_image else output.path
    result = kind.writer(output.lay_out(columns)).write_examples(splits, picture)
    if save_example:
        kind.write_item(test.items[test.rows[0]], example.open_file(save_example))
    print_facts(terminal, kind, splits, result, save_example)


def print_facts(
    terminal: Terminal,
    kind: "ItemKind",
    splits: "dict[str, InMemory]",
    result: str,
    example: Path | None,
) -> None:
    """Print what is in the data, and the paths of the files."""
    from vae_cli.data.held_out import count_copies

    header, rows, key, records = kind.summarize(splits)
    copies = count_copies(splits.values())
    if terminal.wants_json:
        counts = {**{name: len(part) for name, part in splits.items()}, "copies": copies}
        facts = {"name": kind.spec.name, "shape": kind.spec.shape}
        written = {"example": str(example)} if example else {}
        terminal.json({**facts, **counts, key: records, **written})
        return
    terminal.table(header, rows)
    terminal.result(f"{kind.spec.name}: {kind.describe()}")
    if copies:
        total = sum(map(len, splits.values()))
        what = "is a copy of another" if copies == 1 else "are copies of others"
        terminal.result(f"{copies:,} of {total:,} items {what}")
    for line in (result, example):
        if line:
            terminal.result(line)


def read_dataset(settings: DataConfig, terminal: Terminal) -> "tuple[Dataset, dict[str, InMemory]]":
    """Open the data, and read their parts.

    Raises:
        UsageError: the data cannot be used.
        VAEError: a download fails, or the cache cannot be written.
    """
    with terminal.bar("reading") as progress:
        dataset = settings.open(progress)
        limit = settings.limit or None
        return dataset, {name: part.head(limit) for name, part in dataset.splits().items()}
