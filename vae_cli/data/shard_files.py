"""The file of one shard: on this machine, or elsewhere."""

import os
import threading
from abc import ABC, abstractmethod
from io import BufferedReader
from pathlib import Path
from typing import final

from vae_cli.errors import ChangedDataError, UsageError
from vae_cli.files import open_file

_seeking = threading.Lock()  # where a file cannot be read at a place


class ShardFile(ABC):
    """The file of one shard.

    Attributes:
        path: the path or the URL, for messages.
        size: in bytes; 0 if that is not known.
        stamp: a text that changes if the file does.
    """

    path: str
    size: int
    stamp: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @abstractmethod
    def open(self) -> BufferedReader:
        """Open the file, as it was when it was found.

        Raises:
            VAEError: it cannot be read, or has changed.
        """


@final
class LocalShard(ShardFile):
    """A shard on this machine.

    Raises:
        UsageError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        try:
            facts = path.stat()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
        self.size, self.stamp = facts.st_size, _stamp(facts)

    def open(self) -> BufferedReader:
        """Open the file.

        Raises:
            ChangedDataError: it has changed since it was found.
            UsageError: it cannot be read.
        """
        try:
            file = open_file(self.path)
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror or error}") from error
        if _stamp(os.fstat(file.fileno())) != self.stamp:
            file.close()
            raise ChangedDataError(f"{self.path} was changed while it was in use: start again")
        return file


def _stamp(facts: os.stat_result) -> str:
    """The size and the two times of a file, of which a program can set only one."""
    return f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"


def read_at(file: BufferedReader, offset: int, size: int) -> bytes:
    """Some bytes of a file, from several threads at once; fewer if it ends before.

    Raises:
        OSError: they cannot be read.
    """
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), size, offset)
    with _seeking:
        file.seek(offset)
        return file.read(size)
