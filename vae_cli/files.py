"""Reading the file system safely, and writing files completely or not at all.

The standard library writes no file atomically. Packages that do keep neither permissions nor links,
and let no rule choose the target at the last moment.
"""

import csv
import errno
import hashlib
import json
import math
import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, final

from vae_cli.errors import UsageError, VAEError

TEMPORARY_FILE_SUFFIX = ".vae-tmp"
_LEFT_OF_NAME = 16  # characters that a temporary name has of it, so that it is not too long
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet computes such a cell
_SIGNED_NUMBER = re.compile(r"[+-](?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")


# Those of `Path` raise an error if a name is too long.
exists, is_folder, is_file = os.path.exists, os.path.isdir, os.path.isfile


def expand_home(path: str) -> str:
    """A path with the home folder in place of `~/`, which a shell leaves in quotation marks."""
    return os.path.expanduser(path) if path.startswith("~/") else path  # noqa: PTH111


def is_same_file(first: Path | str, second: Path | str) -> bool:
    """Whether two paths lead to the same place, which need not exist.

    Links, other spellings, and other capitals where the file system ignores them are the same.
    """
    if os.path.realpath(first) == os.path.realpath(second):
        return True
    try:
        return os.path.samefile(first, second)  # noqa: PTH121  Path.samefile is the same
    except OSError:
        return False


def stamp_files(paths: Iterable[Path]) -> str:
    """A text that changes if a file changes or moves, without reading it; empty without files.

    The size and the time of the last change can be those of another file, so the inode and the time
    at which the system wrote it are in the text as well: no program can set that time.
    """
    stamps = []
    for path in paths:
        try:
            facts = path.stat()
        except OSError:  # it is gone
            continue
        times = facts.st_mtime_ns, facts.st_ctime_ns
        stamps.append(f"{path.absolute()} {facts.st_size} {facts.st_ino} {times}\n")
    text = "".join(stamps).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest() if stamps else ""


def require_file_or_folder(path: Path | str) -> None:
    """Check that a path is a file or a folder, or that nothing is there.

    Reading a pipe, a socket or a device waits for ever, never ends, or changes something.

    Raises:
        UsageError: it is something else.
    """
    if exists(path) and not (is_file(path) or is_folder(path)):
        raise UsageError(f"{path} is a pipe, a socket or a device, not a file or a folder")


def open_file(path: Path | str) -> BufferedReader:
    """Open a file for reading its bytes, and never wait for anybody to write it.

    Every file that a user or another program has named is opened here. What is at a path is checked
    before it is opened, because opening a device may do something, and after, because another file
    may have taken its place.

    Raises:
        UsageError: it is a pipe, a socket or a device.
        OSError: it is missing, a folder, or may not be read.
    """
    require_file_or_folder(path)
    return open(path, "rb", opener=_open_at_once)


def read_file(path: Path | str, limit: int) -> bytes:
    """Read a file of at most `limit` bytes.

    Raises:
        UsageError: it is larger, or it is a pipe, a socket or a device.
        OSError: it is missing, a folder, or cannot be read.
    """
    with open_file(path) as file:
        is_small = os.fstat(file.fileno()).st_size <= limit  # nothing is read of a file too large
        content = file.read(limit + 1) if is_small else b""
    if not is_small or len(content) > limit:
        raise UsageError(f"{path} is larger than {_describe_size(limit)}")
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe, which Windows does not have."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    kind = os.fstat(handle).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # `open` itself refuses a folder
        os.close(handle)
        raise UsageError(f"{path} is a pipe, a socket or a device, not a file")
    return handle


def _describe_size(size: int) -> str:
    """A size in bytes as a person says it: `1 MiB`."""
    power = min((size.bit_length() - 1) // 10, 3) if size else 0
    return f"{size >> 10 * power:,} {('bytes', 'KiB', 'MiB', 'GiB')[power]}"


def require_writable_file(path: Path) -> None:
    """Check that what is to be overwritten is a file, or that nothing is there.

    Raises:
        UsageError: the system allows no name of this length.
        VAEError: it is something else, such as a folder, a pipe or a device.
    """
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(f"cannot write {path}: the name is too long") from error
    if is_folder(path):
        raise VAEError(f"cannot write {path}: it is a folder")
    if exists(path) and not is_file(path):
        raise VAEError(f"cannot write {path}: it is a pipe, a socket or a device, not a file")


def require_writable_folder(folder: Path) -> None:
    """Check that files can be written into a folder, which only trying it tells for sure.

    Raises:
        VAEError: they cannot.
    """
    probe = _name_temporary(folder / "probe")
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise VAEError(f"cannot write into {folder}: {error.strerror or error}") from error


class Output(ABC):
    """What a command writes: a file with a rule about what it may replace, or another stream.

    Its text is the path, or the word that stands for the stream.
    """

    @property
    @abstractmethod
    def suffix(self) -> str:
        """The extension, which says the format."""

    @abstractmethod
    def open(self) -> AbstractContextManager[BinaryIO]:
        """Open it for writing; what is written takes effect only if the context ends well.

        Raises:
            VAEError: it cannot be written, or may not be.
        """


Writable = Path | Output


def open_output(output: Writable) -> AbstractContextManager[BinaryIO]:
    """Open an output by its own rule, or a path as `open_atomically` does."""
    return output.open() if isinstance(output, Output) else open_atomically(output)


def write_bytes(output: Writable, content: bytes) -> None:
    """Write `content`, as `open_output` does.

    Raises:
        VAEError: the folder is missing, cannot be written, or the disk is full.
    """
    with open_output(output) as file:
        file.write(content)


@contextmanager
def open_atomically(
    path: Path, choose_target: Callable[[Path, Path], Path] | None = None
) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` only when it is complete.

    The bytes are written to the disk under a temporary name in the same folder and then take the
    place of `path`. The folder is synchronised too, so a full disk, a kill or a power cut leaves
    either the old file or the new one, and never a part of it.

    The new file has the permissions of the old one. If `path` is a symbolic link, the file that it
    leads to is replaced, and the link stays.

    Args:
        path: the file.
        choose_target: called at the last moment with the complete temporary file and the file that
            it would replace; it returns the file to replace, which must be in the same folder, or
            raises an error.

    Raises:
        VAEError: the folder is missing, cannot be written, the disk is full, or `path` is not a
            file, such as a folder, a pipe or a device.
    """
    require_writable_file(path)
    try:
        mode = _permissions(path)
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _name_temporary(target)
        try:
            create = partial(os.open, mode=0o666 if mode is None else mode)
            with open(temporary, "xb", opener=create) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                temporary.chmod(mode)  # also what the umask took away
            temporary.replace(choose_target(temporary, target) if choose_target else target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except (FileExistsError, NotADirectoryError) as error:
        raise VAEError(f"cannot write {path}: {path.parent} is not a folder") from error
    except OSError as error:
        raise VAEError(f"cannot write {path}: {error.strerror or error}") from error


def _permissions(path: Path) -> int | None:
    """The permissions of the file behind all symbolic links; None if there is none.

    Raises:
        OSError: the links lead in a circle, or the system forbids to follow them.
    """
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _name_temporary(path: Path) -> Path:
    """A new hidden name in the folder of a file, which is not too long where the name is not."""
    start = path.name[:_LEFT_OF_NAME]
    return path.with_name(f".{start}.{os.urandom(8).hex()}{TEMPORARY_FILE_SUFFIX}")


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writes that were killed."""
    for leftover in folder.glob(f".*{TEMPORARY_FILE_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def is_left_over(folder: Path) -> bool:
    """Whether a folder is what a killed write leaves: it is empty but for temporary files."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:  # it is a file, or may not be read
        return False
    return all(name.startswith(".") and name.endswith(TEMPORARY_FILE_SUFFIX) for name in names)


def write_csv(
    output: Writable, columns: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ","
) -> None:
    """Write a table with a header, one row at a time.

    Texts in the rows are written as they are; texts from elsewhere need `escape_formula` first.
    Bytes of a name that are not UTF-8 become escapes.

    Raises:
        VAEError: the file cannot be written.
    """
    with open_output(output) as file:
        writer = csv.writer(_UnixLines(file), delimiter=delimiter, lineterminator="\r\n")
        writer.writerow(map(escape_formula, columns))
        writer.writerows(rows)


def to_json(value: Any, **options: Any) -> str:
    """A value as JSON, in which a number that is not finite is `null`: JSON has no word for it.

    Args:
        value: of lists, tuples, dictionaries with texts as keys, texts, numbers, booleans and None.
        options: of `json.dumps`.
    """
    return json.dumps(_without_infinity(value), allow_nan=False, **options)


def _without_infinity(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _without_infinity(one) for key, one in value.items()}
        case list() | tuple():
            return [_without_infinity(one) for one in value]
        case _:
            return value


def escape_formula(text: str) -> str:
    """A text that a spreadsheet shows and does not compute: `'=1+1` for `=1+1`.

    A number such as -1 is as it is: nothing is computed.
    """
    is_formula = text.startswith(_FORMULA_STARTS) and not _SIGNED_NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def to_utf8(text: str) -> str:
    """A text that every format can store; the name of a file may not be UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def unescape_formula(text: str) -> str:
    """The text that `escape_formula` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_STARTS) else text


@final
class _UnixLines:
    r"""Ends lines with `\n`. Only with `\r\n` does `csv` quote a cell that contains a `\r`."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def write(self, line: str) -> None:
        self.file.write(line.removesuffix("\r\n").encode(errors="backslashreplace") + b"\n")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and does not need to
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
