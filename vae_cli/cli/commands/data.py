"""`vae data`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli import config
from vae_cli.cli.console import Terminal
from vae_cli.cli.inputs import require_writable_output
from vae_cli.cli.options import (
    Columns,
    Json,
    Output,
    Quiet,
    Scale,
    refuse_unused,
    with_settings,
)

if TYPE_CHECKING:
    from vae_cli.data.dataset import Dataset, Split


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
    require_writable_output(output)
    refuse_unused("--data", bool(name) and "name" in typed.get("data", {}), f"leave out {name}")
    named = {"data": {"name": name}} if name else {}
    settings = config.merge(("command line", typed), ("DATA", named)).data
    dataset, train, test = read_dataset(settings, terminal)
    from vae_cli.items.choice import kind_of

    kind = kind_of(dataset.spec)
    result = kind.write_examples(train, test, output, columns=columns, scale=scale)
    header, rows, key, records = kind.summarize(train, test)
    if json:
        counts = {"train": len(train), "test": len(test)}
        facts = {"name": dataset.spec.name, "shape": dataset.spec.shape}
        terminal.json({**facts, **counts, key: records})
        return
    terminal.table(header, rows)
    terminal.result(result)


def read_dataset(settings: config.DataConfig, terminal: Terminal) -> "tuple[Dataset, Split, Split]":
    """Open the data, and read both parts.

    Raises:
        UsageError: the data cannot be used.
        VAEError: a download fails, or the cache cannot be written.
    """
    from vae_cli.build import build_dataset

    with terminal.bar("reading") as progress:
        dataset = build_dataset(settings, progress, flag="--data")
        limit = settings.limit or None
        return dataset, dataset.train().head(limit), dataset.test().head(limit)
