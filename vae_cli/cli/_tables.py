"""Tables of runs: on the terminal, as files, and as JSON."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len

from vae_cli.cli._console import Terminal, printable
from vae_cli.errors import UsageError, list_some
from vae_cli.files import Output, escape_formula, to_json, write_bytes, write_csv
from vae_cli.runs.compare import ALWAYS_SHOWN, Group, Spread, Table, figure_names, title_of
from vae_cli.runs.summary import Figure, RunSummary

SUFFIXES = (".csv", ".md", ".tex", ".json")
MAX_PLAIN = 1e7  # larger figures are shown as powers of ten
MAX_HIDDEN = 20  # columns in a remark
GAP = "  "  # between two columns of a table
LATEX = {
    **{char: rf"\{char}" for char in "&%$#_{}"},
    **{char: f"{{{char}}}" for char in "[*"},  # where a line begins, they are not text
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "β": r"$\beta$",
}


def format_cell(cell: Any) -> str:
    """A cell for a person: figures with three decimals, and their deviation or error after ±."""
    match cell:
        case None:
            return ""
        case Spread() | Figure():
            value, deviation = cell[:2]
            return f"{_digits(value)}{'' if deviation is None else f' ± {_digits(deviation)}'}"
        case float():
            return _digits(cell)
        case _:
            return str(cell)


def _digits(value: float) -> str:
    """Three decimals, or the power of ten of a number that a failed training left."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.3f}" if abs(value) < MAX_PLAIN else f"{value:.3g}"


def format_rows(table: Table) -> list[list[str]]:
    """All cells for a person; settings have the digits with which they were written."""
    return [
        [
            *("" if cell is None else str(cell) for cell in row[: table.texts]),
            *map(format_cell, row[table.texts :]),
        ]
        for row in table.rows
    ]


def print_table(terminal: Terminal, table: Table, remedy: str = "write -o FILE.csv") -> None:
    """Print a table; on a terminal that is too narrow, some of the last columns are left out.

    Args:
        terminal: where to print it.
        table: what to print.
        remedy: how to see all columns without a wider terminal.
    """
    lines = [[printable(cell) for cell in line] for line in (table.columns, *format_rows(table))]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    ends = itertools.accumulate(width + len(GAP) for width in widths)
    shown = max(1, sum(end - len(GAP) <= terminal.out.width for end in ends))
    if shown < len(widths):
        hidden = list_some(table.columns[shown:], MAX_HIDDEN)
        terminal.remark(f"too narrow for {hidden}: widen the terminal, or {remedy}")
    header, *rows = (_align(line[:shown], widths, table.texts) for line in lines)
    terminal.columns(header, rows)


def _align(cells: Sequence[str], widths: Sequence[int], texts: int) -> str:
    """Cells as one line: texts on the left of their columns, numbers on the right."""
    blanks = [" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=False)]
    pairs = enumerate(zip(cells, blanks, strict=True))
    return GAP.join(cell + blank if at < texts else blank + cell for at, (cell, blank) in pairs)


def show_table(
    terminal: Terminal,
    table: Table,
    records: list[dict[str, Any]],
    output: Output | None,
) -> None:
    """Write a table to a file, or print it."""
    if output:
        write_table_file(output, table, records)
    if terminal.wants_json:
        terminal.json(records)
    elif output:
        terminal.result(output)
    else:
        print_table(terminal, without_constants(table, terminal))


def without_constants(table: Table, terminal: Terminal) -> Table:
    """The table without settings that are the same in several rows, which a remark names instead.

    The seed and the other settings of `ALWAYS_SHOWN` are the only ones that can be the same.
    """
    titles = {title_of(key) for key in ALWAYS_SHOWN} | {"of"}
    kept, same = [], []
    for index, title in enumerate(table.columns):
        values = {row[index] for row in table.rows}
        if len(table.rows) > 1 and title in titles and len(values) == 1:
            same.append(f"{'epochs' if title == 'of' else title} {values.pop()}")
        else:
            kept.append(index)
    if same:
        terminal.remark(f"all runs: {', '.join(same)}")
    rows = [[row[index] for index in kept] for row in table.rows]
    texts = sum(index < table.texts for index in kept)
    return Table([table.columns[index] for index in kept], texts, rows)


def write_table_file(path: Output, table: Table, records: list[dict[str, Any]]) -> None:
    """Write a table as CSV, Markdown or LaTeX, or its records as JSON, by the extension.

    Raises:
        VAEError: the file cannot be written.
    """
    match path.suffix.lower():
        case ".csv":
            columns, rows = _flatten(table)
            write_csv(path, columns, rows)
        case ".md":
            write_bytes(path, to_markdown(table).encode())
        case ".tex":
            write_bytes(path, to_latex(table).encode())
        case ".json":
            text = to_json(records, indent=2)
            write_bytes(path, f"{text}\n".encode())
        case suffix:
            raise UsageError(f"{path}: {suffix} is no file of a table")


def to_markdown(table: Table) -> str:
    """A table in the Markdown of GitHub."""
    right = len(table.columns) - table.texts
    lines = [table.columns, ["---"] * table.texts + ["--:"] * right, *format_rows(table)]
    escaped = (
        [printable(cell).replace("\\", "\\\\").replace("|", "\\|") for cell in line]
        for line in lines
    )
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def to_latex(table: Table) -> str:
    """A table for LaTeX, with the lines of the package booktabs."""
    alignment = "l" * table.texts + "r" * (len(table.columns) - table.texts)
    header = _join_latex(map(escape_latex, table.columns))
    rows = [
        _join_latex([*map(escape_latex, row[: table.texts]), *map(to_math, row[table.texts :])])
        for row in format_rows(table)
    ]
    lines = [
        r"% In the preamble: \usepackage{booktabs}",
        rf"\begin{{tabular}}{{{alignment}}}",
        *(r"\toprule", header, r"\midrule", *rows, r"\bottomrule"),
        r"\end{tabular}",
    ]
    return "".join(f"{line}\n" for line in lines)


def escape_latex(text: str) -> str:
    """A text that LaTeX prints as it is, also after the end of a line of a table."""
    escaped = "".join(LATEX.get(char, char) for char in printable(text))
    return re.sub(r"([-`'])(?=\1)", r"\1{}", escaped)  # two of them would become one character


def to_math(number: str) -> str:
    """A number with its real minus signs."""
    return escape_latex(number).replace("-", "$-$")


def _join_latex(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _flatten(table: Table) -> tuple[list[str], Iterator[list[object]]]:
    """The columns and rows with one number in each cell, and all the digits that it has."""
    second = {}
    for index, column in enumerate(zip(*table.rows, strict=True)):
        if any(isinstance(cell, Spread) for cell in column):
            second[index] = "std"
        elif any(isinstance(cell, Figure) for cell in column):
            second[index] = "error"
    columns = []
    for index, title in enumerate(table.columns):
        columns += [title, f"{title}_{second[index]}"] if index in second else [title]
    return columns, (_flatten_row(row, set(second)) for row in table.rows)


def _flatten_row(row: list[Any], pairs: set[int]) -> list[object]:
    cells: list[object] = []
    for index, cell in enumerate(row):
        if index in pairs:
            cells += cell[:2] if isinstance(cell, tuple) else [cell, None]
        else:
            cells.append(escape_formula(cell) if isinstance(cell, str) else cell)
    return ["" if cell is None else cell for cell in cells]


def run_record(run: RunSummary) -> dict[str, Any]:
    """Everything that is known about a run, for JSON."""
    return {
        "name": run.run.name,
        "path": str(run.run.path),
        "state": run.state,
        "epochs": run.epochs,
        "settings": dict(run.settings),
        "metrics": dict(run.metrics),
        "evaluation": {name: figure._asdict() for name, figure in run.evaluation.items()},
    }


def group_record(group: Group) -> dict[str, Any]:
    """A group for JSON."""
    spreads = {name: group.spread(name) for name in figure_names(group.runs)}
    return {
        "settings": group.settings,
        "runs": [run.run.name for run in group.runs],
        "figures": {name: spread._asdict() for name, spread in spreads.items() if spread},
    }
