"""The files that commands write: their names, and what they may replace.

One rule holds for every command. What is read, the data of the run and the files of a run are never
replaced. Another file that `vae` did not write is replaced only with `--force`. Without a name, an
output has the name of the command, with a number if a file that must stay has this name.
"""

import functools
import io
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, final

from vae_cli.cli._console import Terminal, printable
from vae_cli.data.source import BUILT_IN_NAMES
from vae_cli.errors import UsageError, VAEError
from vae_cli.files import Output, exists, require_writable_file
from vae_cli.rendering.suffixes import ANIMATION_SUFFIXES, CSV, PICTURE_SUFFIXES, TABLE_SUFFIXES
from vae_cli.runs.directory import Run
from vae_cli.runs.outputs import (
    OutputFile,
    data_of,
    data_of_all,
    explain_refusal,
    is_output,
    learns_rows,
)
from vae_cli.runs.summary import RunSummary

if TYPE_CHECKING:
    from vae_cli.rendering.kind import ItemKind

STANDARD_OUTPUT = Path("-")
READ = "what is read"
NOTHING: Mapping[str, str] = {}
FOREIGN = "is a file that vae did not write, or that has changed since"


@final
class Request:
    """An output that was asked for, and what it must not replace.

    The path is checked at once, again when all is known that must stay, and when it is written.

    Args:
        path: that was typed; None means a default name.
        terminal: prints nothing but errors and remarks if the output goes to standard output.
        flag: the option.
        inputs: the files and folders that the command reads, or names of data sets.
        force: whether a file that `vae` did not write may be replaced.
        json: whether results are printed as JSON.
        is_items: whether it is for items, whose kind decides about the extension.

    Raises:
        UsageError: the path may not be written.
        VAEError: it is not a file, such as a folder, a pipe or a device.
    """

    def __init__(
        self,
        path: Path | None,
        terminal: Terminal,
        *,
        flag: str = "--output",
        inputs: Iterable[Path | str | None] = (),
        force: bool = False,
        json: bool = False,
        is_items: bool = False,
    ) -> None:
        self.path, self.terminal, self.flag, self.force = path, terminal, flag, force
        self.is_items = is_items
        self.kept = {str(one): READ for one in inputs if one and str(one) not in BUILT_IN_NAMES}
        if self.is_standard_output:
            if json:
                raise UsageError(f"{flag} - and --json both write to standard output: give one")
            terminal.out.quiet = True
        elif path:
            require_writable_file(path)
            self._require_kept(path, self.kept)

    @property
    def is_standard_output(self) -> bool:
        """Whether the output goes to standard output."""
        return self.path == STANDARD_OUTPUT

    def check_run(self, run: Run) -> None:
        """Check the path before the model of a run is loaded.

        If the model makes items of another kind, no free name is offered here for the path:
        `open_items` refuses its extension.

        Raises:
            UsageError: the path would replace the data of the run, or needs `--force`.
        """
        rows = learns_rows(run) if self.is_items and self.path else None
        suffix = self.path.suffix.lower() if self.path else ""
        fits = rows is None or (suffix in TABLE_SUFFIXES) == rows
        self.check(data_of(run), is_kept=fits)

    def check(self, sources: Mapping[str, str] = NOTHING, *, is_kept: bool = True) -> None:
        """Check the path before the work begins.

        Args:
            sources: more files and folders that must stay as they are, with what they are.
            is_kept: whether a file at the path that `vae` did not write must stay as well.

        Raises:
            UsageError: the path would replace what must stay, or needs `--force`.
        """
        new = {source: what for source, what in sources.items() if source not in self.kept}
        self.kept |= new
        if self.path and not self.is_standard_output:
            self._require_kept(self.path, new)
            if is_kept:
                self._require_own(self.path)

    def check_data_of(self, runs: Iterable[RunSummary]) -> None:
        """Check that the path would not replace the data of runs.

        Raises:
            UsageError: it would, or needs `--force`.
        """
        is_new = self.path and not exists(self.path)  # then the data need not be known
        known = () if is_new else runs
        self.check({path: what for one in known for path, what in data_of(one.run).items()})

    def open_table(self, default: Path) -> Output:
        """The output of a table, which may go to standard output."""
        return StandardOutput() if self.is_standard_output else self.open_file(default)

    def open_items(self, kind: "ItemKind", command: str) -> Output:
        """The output of items of one kind, in a file with the name of the command by default.

        Raises:
            UsageError: this kind cannot be written to that path.
        """
        if self.is_standard_output and CSV in kind.output_suffixes:
            return StandardOutput()
        self.refuse_standard_output(f"{command}{kind.suffix}")
        return self.open_file(kind.output_path(self.path, command))

    def open_file(self, default: Path) -> Output:
        """The output in a file, whose name has a number if the default name is taken.

        Raises:
            UsageError: it may not be written.
        """
        if self.path:
            return OutputFile(self.path, functools.partial(self._require_free, self.path))
        chosen = self._number(default)
        if chosen != default:
            why = self._explain(default, self.kept) or FOREIGN
            self.terminal.remark(f"not {default}: it {why}")
        return OutputFile(chosen, functools.partial(self._number, default))

    def refuse_standard_output(self, example: str) -> None:
        """Refuse `-` for an output that is not a table.

        Raises:
            UsageError: it is `-`.
        """
        if self.is_standard_output:
            raise UsageError(f"{self.flag} -: only tables go there: name a file, as in {example}")

    def _require_free(self, path: Path) -> Path:
        """The path, if it may be written.

        Raises:
            UsageError: it may not.
            VAEError: it is not a file, such as a folder, a pipe or a device.
        """
        require_writable_file(path)
        self._require_kept(path, self.kept)
        self._require_own(path)
        return path

    def _require_kept(self, path: Path, sources: Mapping[str, str]) -> None:
        if reason := self._explain(path, sources):
            raise UsageError(f"{self.flag} {path} {reason}: write it elsewhere")

    def _explain(self, path: Path, sources: Mapping[str, str]) -> str:
        """Why the path must stay as it is; with `--force`, the data of other runs must stay too."""
        reason = explain_refusal(path, sources)
        if not reason and self.force and exists(path) and not is_output(path):
            reason = explain_refusal(path, data_of_all())
        return reason

    def _require_own(self, path: Path) -> None:
        if exists(path) and not (self.force or is_output(path)):
            free = next(one for one in _numbered(path) if not exists(one))
            remedy = f"--force replaces it, and {free} is free"
            raise UsageError(f"{self.flag} {path} {FOREIGN}: {remedy}")

    def _number(self, path: Path) -> Path:
        """The default path, or one with a number if a file that must stay has this name.

        Raises:
            UsageError: nothing may be written to this folder.
            VAEError: the path is not that of a file, such as a folder, a pipe or a device.
        """
        require_writable_file(path)
        names = itertools.chain([path], _numbered(path))
        chosen = next(one for one in names if not exists(one) or self._may_replace(one, path))
        if reason := self._explain(chosen, self.kept):
            raise UsageError(f"{chosen} {reason}: write it elsewhere, with {self.flag} FILE")
        return chosen

    def _may_replace(self, path: Path, default: Path) -> bool:
        """Whether a file that exists may be replaced though nobody named it, except by default."""
        is_allowed = is_output(path) or (self.force and path == default)
        return is_allowed and not self._explain(path, self.kept)


@final
class StandardOutput(Output):
    """A table as CSV on standard output, completely or not at all."""

    suffix = CSV

    def __str__(self) -> str:
        """The word that stands for it."""
        return str(STANDARD_OUTPUT)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it for writing; a terminal gets no characters that could control it."""
        if sys.stdout is None:
            raise VAEError("standard output is closed")
        content = io.BytesIO()
        yield content
        text = content.getvalue()
        if sys.stdout.isatty():
            lines = text.decode(errors="backslashreplace").split("\n")
            text = "\n".join(map(printable, lines)).encode(errors="backslashreplace")
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()


def require_items_name(path: Path | None, *, animated: bool = False) -> None:
    """Check the extension of an output of items before the model is loaded.

    Args:
        path: that was typed, if any.
        animated: whether the command can write an animation.

    Raises:
        UsageError: the extension cannot be written.
    """
    if path is None or path == STANDARD_OUTPUT:
        return
    allowed = PICTURE_SUFFIXES + TABLE_SUFFIXES + (ANIMATION_SUFFIXES if animated else ())
    if path.suffix.lower() not in allowed:
        animations = ", .gif or .webp for an animation" if animated else ""
        raise UsageError(
            f"--output {path}: end it with .png for pictures{animations}, .csv for rows"
        )


def require_suffix(path: Path | None, suffixes: Sequence[str], flag: str = "--output") -> None:
    """Check the extension of an output before anything is read.

    Raises:
        UsageError: it is not one of these.
    """
    if path and path != STANDARD_OUTPUT and path.suffix.lower() not in suffixes:
        *others, last = suffixes
        words = f"{', '.join(others)} or {last}" if others else last
        raise UsageError(f"{flag} {path}: end the name with {words}")


def _numbered(path: Path) -> Iterator[Path]:
    return (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
