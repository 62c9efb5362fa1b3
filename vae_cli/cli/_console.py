"""The console. Results go to stdout, and everything about them to stderr."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from vae_cli.files import to_json

MAX_WIDTH = 10_000  # characters of a line that is not on a terminal; no table is cut off there


def printable(text: object) -> str:
    r"""Escape characters that could control a terminal.

    Control, bidirectional and other invisible characters (Unicode's Cc, Cf, Cs, Zl, Zp) become
    escapes such as `\x1b`.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def as_text(text: object, style: str = "") -> Text:
    """The one way to the screen for a text, whoever wrote it.

    What could control a terminal is escaped, and the markup of Rich, such as `[red]`, is no markup.
    """
    return Text(printable(text), style)


def print_whole_words(console: Console, text: Text) -> None:
    """Print a text; a terminal gets line ends between words, everything else gets one line.

    A word that is longer than a line, such as a path, is not divided, so that it can be copied.
    """
    if console.is_terminal:
        lines = text.divide(line_starts(text.plain, console.width))
        for line in lines:
            line.rstrip()
        text = Text("\n").join(lines)
    console.print(text)


def line_starts(text: str, width: int) -> list[int]:
    """Where each line but the first starts if a text is wrapped between words."""
    starts = [0]
    for word in re.finditer(r"\S+", text):
        if word.start() > starts[-1] and cell_len(text[starts[-1] : word.end()]) > width:
            starts.append(word.start())
    return starts[1:]


class LastingConsole(Console):
    """A console that becomes silent if it cannot write: output never ends a training.

    This happens if a pipe was closed, the terminal is gone, or a disk is full.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, or become silent."""
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        """Become silent; what is left in the buffer goes to the null device."""
        self.quiet = True
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.file.fileno())
            os.close(null)


class Terminal:
    """Prints the output of a command.

    Args:
        quiet: print only errors.
        wants_json: whether the user wants the results as JSON; commands ask for it.
        lasting: become silent if the output cannot be written, instead of raising an error.
    """

    def __init__(
        self, *, quiet: bool = False, wants_json: bool = False, lasting: bool = False
    ) -> None:
        self.quiet = quiet
        self.wants_json = wants_json
        self.remarks: list[Text] = []
        kind = LastingConsole if lasting else Console
        self.out = kind(highlight=False, soft_wrap=True, quiet=quiet)
        self.err = kind(highlight=False, soft_wrap=True, quiet=quiet, stderr=True)
        if not self.out.is_terminal:
            self.out.width = MAX_WIDTH

    @property
    def can_overwrite(self) -> bool:
        """Whether a line can be overwritten, as a progress bar needs."""
        return self.out.is_terminal and not (self.quiet or self.out.is_dumb_terminal)

    def remark(self, text: object, style: str = "dim") -> None:
        """A note that is printed with the result, so that an error is the only line on stderr."""
        self.remarks.append(as_text(text, style))

    def print_remarks(self) -> None:
        """Print the remarks now, because the result will be long in coming."""
        for text in self.remarks:
            print_whole_words(self.err, text)
        self.remarks.clear()

    @contextmanager
    def bar(self, description: str) -> Iterator[Callable[[int, int], None]]:
        """A progress bar; the context gives a callback that takes what is done and the total."""
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        with Progress(
            *columns,
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.out,
            transient=True,
            refresh_per_second=4,
            disable=not self.can_overwrite,
        ) as progress:
            task = progress.add_task(printable(description), total=None, visible=False)
            yield lambda done, total: progress.update(
                task, completed=done, total=total, visible=True
            )

    @contextmanager
    def spinner(self, description: str) -> Iterator[None]:
        """The time that has passed, for work that cannot be counted."""
        text = TextColumn("{task.description}", markup=False)
        columns = (SpinnerColumn(), text, TimeElapsedColumn())
        with Progress(
            *columns, console=self.out, transient=True, disable=not self.can_overwrite
        ) as progress:
            progress.add_task(printable(description), total=None)
            yield

    def result(self, text: object) -> None:
        """A line of the result."""
        self.print_remarks()
        print_whole_words(self.out, as_text(text))

    def note(self, text: object) -> None:
        """A line about how it was done, or what to do next."""
        print_whole_words(self.err, as_text(text, "dim"))

    def advice(self, text: object) -> None:
        """A line that the user should not overlook."""
        print_whole_words(self.err, as_text(text, "yellow"))

    def error(self, text: object) -> None:
        """The one line about an error; it is printed even with `--quiet`."""
        line = Text.assemble(("error: ", "bold red"), as_text(text))
        kind = type(self.err)
        print_whole_words(kind(stderr=True, highlight=False, soft_wrap=True), line)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, texts: int = 1
    ) -> None:
        """A small table; the first `texts` columns are texts, the others are numbers."""
        self.print_remarks()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, column in enumerate(columns):
            justify: Literal["left", "right"] = "right" if index >= texts else "left"
            table.add_column(as_text(column), justify=justify, no_wrap=index >= texts)
        for row in rows:
            table.add_row(*map(as_text, row))
        self.out.print(table, soft_wrap=False)

    def facts(self, rows: Mapping[str, str]) -> None:
        """A topic and a sentence in each row; a terminal gets line ends between words."""
        self.print_remarks()
        indent = max(map(cell_len, rows)) + 2
        for topic, sentence in rows.items():
            text = as_text(sentence)
            if self.out.is_terminal:
                starts = line_starts(text.plain, self.out.width - indent)
                text = Text("\n" + " " * indent).join(text.divide(starts))
            self.out.print(Text.assemble(as_text(topic.ljust(indent), "bold"), text))

    def lines(self, lines: Iterable[str]) -> None:
        """Lines that are never wrapped, such as those of a file."""
        self.print_remarks()
        self.out.print(Text("\n").join(map(as_text, lines)))

    def columns(self, header: str, lines: Sequence[str]) -> None:
        """A table whose cells are already aligned, which is fast enough for a thousand lines."""
        self.print_remarks()
        self.out.print(as_text(header.rstrip(), "bold"))
        if lines:
            self.out.print(Text("\n").join(as_text(line.rstrip()) for line in lines))

    def json(self, value: Any) -> None:
        """One JSON document; it is printed even with `--quiet`."""
        self.print_remarks()
        text = to_json(value, indent=2)
        Console(highlight=False, soft_wrap=True).print(Text(text))
