"""`vae data`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._errors import show_options
from vae_cli.cli._options import (
    ResultTerminal,
    refuse_unused,
)
from vae_cli.cli._output import Request
from vae_cli.cli._pictures import PicturesOutput
from vae_cli.cli._settings import with_settings
from vae_cli.data.source import SourceKind, find_source
from vae_cli.errors import UsageError, plural, shorten
from vae_cli.settings import DataConfig, merge

if TYPE_CHECKING:
    from vae_cli.data.column_kinds import ColumnReport
    from vae_cli.data.dataset import Dataset, Factors
    from vae_cli.data.streamed import AnySplit
    from vae_cli.rendering.kind import ItemKind

PARTS = {"train": "training row", "validation": "validation row", "test": "test row"}
TITLES = ("column", "kind", "values", "missing", "examples", "because")
SHOWN = 20  # characters of a value


@with_settings("data")
def command(
    *,
    typed: dict[str, dict[str, Any]],
    name: Annotated[str | None, typer.Argument(metavar="DATA", help="The same as --data.")] = None,
    examples: Annotated[
        int,
        typer.Option(min=1, max=1000, help="Examples of each class.", rich_help_panel="Output"),
    ] = 6,
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
    """Show a data set: its classes and some examples, or what the columns of a table are.

    Example: `vae data photos/`, or `vae data customers.csv`
    """
    refuse_unused("--data", bool(name) and "name" in typed.get("data", {}), f"leave out {name}")
    named = {"data": {"name": name}} if name else {}
    settings = merge(("command line", typed), ("DATA", named)).data
    source = find_source(settings.name, "data.name")  # a typo is answered before torch is imported
    inputs = [settings.name]
    shown = output.request(terminal, inputs)
    example = Request(
        save_example, terminal, flag="--save-example", inputs=inputs, force=output.force
    )
    shown.check()
    example.check({str(output.path or "data.png"): "the picture of --output"})
    if source.kind is SourceKind.TABLE and not save_example:
        if output.path:
            raise UsageError(f"--output {output.path}: a table has no picture")
        show_table(settings, terminal)
        return
    dataset, splits = read_dataset(settings, terminal)
    from vae_cli.rendering import kind_of

    kind, test = kind_of(dataset.spec), dataset.test()
    example.refuse_standard_output(f"example{kind.suffix}")
    if save_example and save_example.suffix.lower() != kind.suffix:
        raise UsageError(
            f"--save-example {save_example}: {dataset.spec.name} is of {kind.items_name}; "
            f"end it with {kind.suffix}"
        )
    picture = shown.open_items(kind, "data") if dataset.spec.is_image else output.path
    result = kind.writer(output.lay_out(examples)).write_examples(splits, picture)
    if save_example:
        kind.write_item(test.items[test.rows[0]], example.open_file(save_example))
    print_facts(terminal, kind, splits, result, save_example, dataset.factors(test))


def print_facts(
    terminal: Terminal,
    kind: "ItemKind",
    splits: "dict[str, AnySplit]",
    result: str,
    example: Path | None,
    factors: "Factors | None",
) -> None:
    """Print what is in the data, and the paths of the files."""
    from vae_cli.data.held_out import count_copies

    header, rows, key, records = kind.summarize(splits)
    copies = count_copies(splits.values())
    if terminal.wants_json:
        counts = {**{name: len(part) for name, part in splits.items()}, "copies": copies}
        facts = {"name": kind.spec.name, "shape": kind.spec.shape}
        known = (
            {"factors": dict(zip(factors.names, factors.levels, strict=True))} if factors else {}
        )
        written = {"example": str(example)} if example else {}
        terminal.json({**facts, **counts, key: records, **known, **written})
        return
    terminal.table(header, rows)
    terminal.result(f"{kind.spec.name}: {kind.describe()}")
    if factors:
        terminal.result(f"factors, and how many values each has: {factors.describe()}")
    print_copies(terminal, copies, sum(map(len, splits.values())), "items")
    for line in (result, example):
        if line:
            terminal.result(line)


def print_copies(terminal: Terminal, copies: int | None, total: int, items: str) -> None:
    """Say how many items are copies of others, if there are any."""
    what = "is a copy of another" if copies == 1 else "are copies of others"
    if copies:
        terminal.result(f"{copies:,} of {total:,} {items} {what}")


def show_table(settings: DataConfig, terminal: Terminal) -> None:
    """Print what each column of a table is, also if it cannot be learned yet.

    Raises:
        UsageError: the table cannot be read.
    """
    from vae_cli.data.conditioning import ConditionedDataset
    from vae_cli.data.held_out import count_copies
    from vae_cli.data.table import Table

    problem, dataset = "", None
    with terminal.bar("reading") as progress:
        try:
            dataset = settings.open(progress)
            table = dataset.dataset if isinstance(dataset, ConditionedDataset) else dataset
            assert isinstance(table, Table)
            parts = dataset.splits()
            reports = table.contents.reports
        except UsageError as error:
            problem, parts = show_options(error.message), {}
            reports = settings.survey(progress)
    counts = {name: len(part.head(settings.limit or None)) for name, part in parts.items()}
    if terminal.wants_json:
        facts = {"name": settings.name if dataset is None else dataset.spec.name}
        known = {**counts, "copies": count_copies(parts.values())} if parts else {}
        columns = [describe_in_json(report) for report in reports]
        terminal.json({**facts, **known, "columns": columns, "problem": problem or None})
        return
    terminal.table(TITLES, [describe_column(report) for report in reports], texts=len(TITLES))
    if problem:
        terminal.result(f"it cannot be learned yet: {problem}")
        return
    sizes = ", ".join(f"{plural(count, PARTS[name])}" for name, count in counts.items())
    assert dataset is not None  # or there is a problem
    told = [column.name for column in dataset.spec.condition]
    beside = f"; {', '.join(told)} {'is' if len(told) == 1 else 'are'} told" * bool(told)
    terminal.result(f"{sizes}; {plural(dataset.spec.shape[0], 'column')} can be learned{beside}")
    print_copies(terminal, count_copies(parts.values()), sum(counts.values()), "rows")


def describe_in_json(report: "ColumnReport") -> dict[str, Any]:
    """The same for a program."""
    facts = dataclasses.asdict(report)
    return {name: value for name, value in facts.items() if name not in {"column", "counts_rows"}}


def describe_column(report: "ColumnReport") -> tuple[str, ...]:
    """A line about a column, for a person."""
    low, high = shorten(report.low, SHOWN), shorten(report.high, SHOWN)
    values = f"{low} to {high}" if low != high else low
    if not values and report.distinct is not None:
        values = plural(report.distinct, "value")
    share = f"{report.missing / report.rows:.1%}" if report.missing else ""
    examples = ", ".join(map(shorten_example, report.examples))
    return shorten(report.name), report.kind, values, share, examples, report.reason


def shorten_example(text: str) -> str:
    """A cell with few characters; a number keeps its size and loses digits instead of an end."""
    try:
        return text if len(text) <= SHOWN else f"{float(text):.6g}"
    except ValueError:
        return shorten(text, SHOWN)


def read_dataset(settings: DataConfig, terminal: Terminal) -> "tuple[Dataset, dict[str, AnySplit]]":
    """Open the data, and read their parts.

    Raises:
        UsageError: the data cannot be used.
        VAEError: a download fails, or the cache cannot be written.
    """
    with terminal.bar("reading") as progress:
        dataset = settings.open(progress)
        limit = settings.limit or None
        return dataset, {name: part.head(limit) for name, part in dataset.whole_splits().items()}
