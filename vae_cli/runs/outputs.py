"""What no output replaces: what is read, the data of a run, the files of a run, and others' files.

A file that `vae` wrote is replaced without being told to. The folder `outputs` in the user's folder
remembers it by one small file, whose name is a digest of the path of the output, and whose content
is a digest of what was written there. A file that somebody has changed since, or put in the place
of the output, has another digest.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, final

from vae_cli.data.shard_names import local_paths
from vae_cli.data.source import BUILT_IN_NAMES, PICTURE_SUFFIXES
from vae_cli.errors import UsageError
from vae_cli.files import (
    Output,
    exists,
    is_folder,
    is_same_file,
    open_atomically,
    open_file,
    read_file,
)
from vae_cli.runs.checkpoint import NOT_A_HEADER, read_metadata
from vae_cli.runs.directory import FILES, ROOT, Run
from vae_cli.runs.lookup import all_folders, is_marked
from vae_cli.runs.origin import is_signed, user_folder

_ALGORITHM = "sha256"
_DIGEST_BYTES = 2 * hashlib.new(_ALGORITHM).digest_size  # in hexadecimal


def record_output(target: Path, written: Path) -> None:
    """Remember that `vae` wrote a file.

    If that is not possible, the file is unknown later, and nothing else fails.

    Args:
        target: the path of the file, without symbolic links.
        written: where its contents are now.
    """
    entry = _entry(target)
    with suppress(OSError):
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        entry.write_text(_digest(written))


def is_output(path: Path) -> bool:
    """Whether there is a file that `vae` wrote as an output, and that nobody has changed since."""
    target = Path(os.path.realpath(path))
    entry = _entry(target)
    if not exists(entry):
        return False
    try:
        return read_file(entry, _DIGEST_BYTES).decode() == _digest(target)
    except (OSError, UsageError, UnicodeDecodeError):
        return False


def forget_outputs(targets: Iterable[str]) -> None:
    """Treat files as if `vae` had not written them.

    Args:
        targets: their paths, without symbolic links.
    """
    with suppress(OSError):
        known = set(os.listdir(_folder()))  # noqa: PTH208
        for target in targets if known else ():
            if (name := _name(target)) in known:
                (_folder() / name).unlink(missing_ok=True)


def _folder() -> Path:
    return user_folder() / "outputs"


def _name(target: Path | str) -> str:
    return hashlib.new(_ALGORITHM, os.fsencode(target)).hexdigest()


def _entry(target: Path) -> Path:
    return _folder() / _name(target)


def _digest(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, _ALGORITHM).hexdigest()


@final
class OutputFile(Output):
    """A file that is written by a rule, and is recorded as an output.

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
        record_output(target, written)
        return target


def data_of(run: Run) -> dict[str, str]:
    """The path of a run's data, and what to call them; empty if they are built in or unknown.

    The data of a run that was trained elsewhere count as unknown: their path is not even looked at.
    """
    for path in (run.best, run.last):
        try:
            facts = json.loads(read_metadata(path)["vae"])
            name, origin = facts["config"]["data"]["name"], facts["origin"]
        except NOT_A_HEADER:
            continue
        if isinstance(name, str) and name not in BUILT_IN_NAMES and is_signed(name, origin):
            return {name: f"the data of run {run.name}"}
    return {}


def learns_rows(run: Run) -> bool | None:
    """Whether a run learns rows of a table, and not images; None if that is not known."""
    for path in (run.best, run.last):
        try:
            return len(json.loads(read_metadata(path)["vae"])["data"]["shape"]) == 1
        except NOT_A_HEADER:
            continue
    return None


def data_of_all(root: Path = ROOT) -> dict[str, str]:
    """The same of all runs in a folder."""
    return {path: what for run in all_folders(root) for path, what in data_of(run).items()}


def adopt_data(name: str) -> None:
    """What a run learns is the user's from now on, also if `vae` wrote it: no output replaces it.

    Samples of one run may be the data of another.

    Args:
        name: of the data: a path, or a built-in name.
    """
    if name not in BUILT_IN_NAMES:
        forget_outputs(path for one in local_paths(name) for path in _real_paths(one))


def _real_paths(name: str) -> Iterator[str]:
    if not is_folder(name):
        yield os.path.realpath(name)
        return
    for entry in _files(name):
        yield os.path.realpath(entry.path) if entry.is_symlink() else entry.path


def explain_refusal(path: Path, sources: Mapping[str, str]) -> str:
    """Why nothing may be written to a path, whoever wants it; empty if something may.

    Args:
        path: the file to write.
        sources: what must stay as it is, by the path of the file or folder: for example `what is
            read`.
    """
    target = Path(os.path.realpath(path))
    run = next((run for run in map(Run, target.parents) if is_marked(run)), None)
    for name, what in sources.items():
        for source in local_paths(name):
            if reason := _explain_source(target, source, what, run):
                return reason
    is_taken = any(fnmatchcase(target.name, own) for own in FILES)
    if run and (is_taken or (exists(target) and not is_output(target))):
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
        return f"would overwrite {what}" if exists(target) and not is_output(target) else ""
    return f"would overwrite {what}" if exists(target) and _is_linked(source, target) else ""


def _is_linked(folder: str, target: Path) -> bool:
    """Whether a link somewhere in a folder leads to a file that is not in it."""
    facts = target.stat()
    return any(_leads_to(entry, facts) for entry in _files(folder))


def _leads_to(entry: os.DirEntry[str], facts: os.stat_result) -> bool:
    if not entry.is_symlink() and entry.inode() != facts.st_ino:
        return False  # as most files, which need no call of the system
    try:
        found = entry.stat()
    except OSError:  # a link that leads nowhere
        return False
    return (found.st_dev, found.st_ino) == (facts.st_dev, facts.st_ino)


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """All files in a folder, its sub-folders and linked folders; their paths have no other links.

    Folders that cannot be read are left out, because nothing in them can be data.
    """
    waiting = [os.path.realpath(folder)]
    seen = set(waiting)
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                is_link = entry.is_symlink()
                if not (is_folder(entry.path) if is_link else entry.is_dir()):
                    yield entry
                    continue
                inner = os.path.realpath(entry.path) if is_link else entry.path
                if inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)
