"""Files are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vae_cli.errors import VAEError

_LEFTOVER = ".vae-tmp"


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, as `writing` does.

    Raises:
        VAEError: the folder is missing, cannot be written, or the disk is full.
    """
    with writing(path) as file:
        file.write(content)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; whoever looks at `path` finds the old file or the new one, never a part.

    The bytes reach the disk under a temporary name in the same folder before they take the place
    of `path`, and the folder is told to remember that, so a full disk, a kill or a power cut leaves
    one of the two.

    Raises:
        VAEError: the folder is missing, cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(_LEFTOVER, f".{path.name[:64]}.", path.parent)
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


def sweep(folder: Path) -> None:
    """Remove what a write that was killed left behind in a folder."""
    for leftover in folder.glob(f".*{_LEFTOVER}"):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # where a folder cannot be opened, nor need be
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
