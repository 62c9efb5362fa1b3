"""What no output replaces: what is read, the data of a run, and the files of a run."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, final

from vae_cli.data.catalogue import BUILT_IN_NAMES, PICTURE_SUFFIXES
from vae_cli.files import Output, exists, is_folder, is_same_file, open_atomically
from vae_cli.runs import ledger
from vae_cli.runs.directory import FILES, Run
from vae_cli.runs.removal import is_marked
from vae_cli.runs.summary import read_settings


@final
class OutputFile(Output):
    """A file that is written by a rule, and that the ledger knows afterwards.

    Args:
        path: the file.
        choose: the rule. It is called at the last moment, because another file may have appeared
            there, and returns the path to write, which is in the same folder, or raises an error.
    """

    def __init__(self, path: Path, choose: Callable[[], Path]) -> None:
        self.path, self.choose = path, choose

    def __str__(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def suffix(self) -> str:
        """The extension, which says the format."""
        return self.path.suffix

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open it for writing, as `open_atomically` does."""
        with open_atomically(self.path, self._choose_target) as file:
            yield file

    def _choose_target(self, written: Path, target: Path) -> Path:
        chosen = self.choose()
        if chosen != self.path:
            self.path, target = chosen, Path(os.path.realpath(chosen))
        ledger.record(target, written)
        return target


def is_own(path: Path) -> bool:
    """Whether `vae` wrote a file as an output, and nobody has changed it since."""
    return ledger.is_recorded(Path(os.path.realpath(path)))


def data_of(run: Run) -> dict[str, str]:
    """The path of a run's data, and what to call them; empty if they are built in or unknown."""
    return describe_data(read_settings(run).get("data.name"), run.name)


def describe_data(name: object, run: str) -> dict[str, str]:
    """The same for data whose name is known from elsewhere, and the name of a run."""
    is_path = isinstance(name, str) and name not in BUILT_IN_NAMES
    return {str(name): f"the data of run {run}"} if is_path else {}


def explain_refusal(path: Path, sources: Mapping[str, str]) -> str:
    """Why nothing may be written to a path, whoever wants it; empty if something may.

    Args:
        path: the file to write.
        sources: what must stay as it is, by the path of the file or folder: for example `what is
            read`.
    """
    target = Path(os.path.realpath(path))
    run = next((run for run in map(Run, target.parents) if is_marked(run)), None)
    for source, what in sources.items():
        if reason := _explain_source(target, source, what, run):
            return reason
    is_taken = any(fnmatchcase(target.name, own) for own in FILES)
    if run and (is_taken or (exists(target) and not is_own(target))):
        return f"would overwrite what is in the folder of run {run.name}"
    return ""


def _explain_source(target: Path, source: str, what: str, run: Run | None) -> str:
    if not is_folder(source):
        return f"would overwrite {what}" if is_same_file(target, source) else ""
    around = list(target.parents)
    if run:  # a folder of data around a run has no pictures in it
        around = around[: around.index(run.path) + 1]
    if any(is_same_file(folder, source) for folder in around):
        if target.suffix.lower() in PICTURE_SUFFIXES:
            return f"would lie among the pictures of {source}"
        return f"would overwrite {what}" if exists(target) and not is_own(target) else ""
    return f"would overwrite {what}" if exists(target) and _is_linked(source, target) else ""


def _is_linked(folder: str, target: Path) -> bool:
    """Whether a link somewhere in a folder leads to a file that is not in it."""
    facts = target.stat()
    waiting, seen = [folder], set[tuple[int, int]]()
    while waiting:
        for entry in _entries(waiting.pop()):
            try:
                # Most files have another number, and need no call of the system.
                is_same = entry.inode() == facts.st_ino
                if not (is_same or entry.is_symlink() or entry.is_dir()):
                    continue
                found = entry.stat()
            except OSError:  # a link that leads nowhere
                continue
            place = found.st_dev, found.st_ino
            if place == (facts.st_dev, facts.st_ino):
                return True
            if entry.is_dir() and place not in seen:
                seen.add(place)
                waiting.append(entry.path)
    return False


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # nothing in it can be data
        return []
