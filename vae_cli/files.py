"""Reading the file system safely, and writing files completely or not at all."""

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, final

from vae_cli.errors import VAEError

_TEMPORARY_SUFFIX = ".vae-tmp"


def exists(path: Path | str) -> bool:
    """Whether something has this name; `Path.exists` raises an error if the name is too long."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path | str) -> bool:
    """Whether this is a folder; `Path.is_dir` raises an error if the name is too long."""
    return os.path.isdir(path)  # noqa: PTH112


def is_same_file(first: Path, second: Path | str) -> bool:
    """Whether two paths lead to the same place, which need not exist."""
    return os.path.realpath(first) == os.path.realpath(second)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, as `open_atomically` does.

    Raises:
        VAEError: the folder is missing, cannot be written, or the disk is full.
    """
    with open_atomically(path) as file:
        file.write(content)


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` only when it is complete.

    The bytes are written to the disk under a temporary name in the same folder and then take the
    place of `path`. The folder is synchronised too, so a full disk, a kill or a power cut leaves
    either the old file or the new one, and never a part of it.

    Raises:
        VAEError: the folder is missing, cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(_TEMPORARY_SUFFIX, f".{path.name[:64]}.", path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())  # mkstemp's 0600 would hide the file from a team
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except (FileExistsError, NotADirectoryError) as error:
        raise VAEError(f"cannot write {path}: {path.parent} is not a folder") from error
    except OSError as error:
        raise VAEError(f"cannot write {path}: {error.strerror or error}") from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writes that were killed."""
    for leftover in folder.glob(f".*{_TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ","
) -> None:
    """Write a table with a header, one row at a time.

    Raises:
        VAEError: the file cannot be written.
    """
    with open_atomically(path) as file:
        writer = csv.writer(_UnixLines(file), delimiter=delimiter, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(rows)


@final
class _UnixLines:
    r"""Ends lines with `\n`. Only with `\r\n` does `csv` quote a cell that contains a `\r`."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n").encode() + b"\n")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and does not need to
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
