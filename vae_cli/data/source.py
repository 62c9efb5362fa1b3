"""The names of all data sources, and what a name means; nothing here reads data or imports torch.

One rule for every command: the name of a built-in data set means that data set, and anything else
is a path. `./shapes` is a path, because no built-in name has a slash.
"""

import difflib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from vae_cli.data.shard_names import (
    ARRAY_SHARD,
    PACKED_SUFFIXES,
    LocalFiles,
    absolute_pattern,
    expand_braces,
    find_shards,
    is_pattern,
    is_remote,
    is_shard,
    kind_of_shard,
    require_installed,
    require_one_kind,
)
from vae_cli.errors import UsageError, mark
from vae_cli.files import exists, expand_home, is_folder, require_file_or_folder

if TYPE_CHECKING:
    from vae_cli.data.dataset import Spec

DOWNLOADED_NAMES = (
    *("mnist", "kmnist", "emnist-letters", "emnist-digits", "usps"),
    *("cifar10", "cifar100", "svhn", "stl10", "celeba"),
)
BUILT_IN_NAMES = ("fashion-mnist", "shapes", "shapes-32", *DOWNLOADED_NAMES)
ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors")
TEXT_SUFFIXES = (".csv", ".tsv")
PARQUET_SUFFIXES, EXCEL_SUFFIXES = (".parquet", ".pq"), (".xlsx", ".xls", ".xlsb", ".ods")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, ".csv.gz", ".tsv.gz", *PARQUET_SUFFIXES, *EXCEL_SUFFIXES)
PICTURE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp"),
    *(".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jfif"),
    *(".avif", ".jp2", ".j2k", ".heic", ".heif"),
)
FOLDER_KEYS = ("image_size", "channels", "background", "frames")  # settings of folders
SHARD_KEYS = ("image_size", "channels", "background")  # those that shards of pictures have, too
SHUFFLE_WINDOW = 16_384  # items among which those in shards are shuffled
TABLE_KEYS = ("label", "drop", "id", "columns", "missing")  # settings of tables alone
CHANNELS = {"auto": 0, "grey": 1, "rgb": 3}
BACKGROUNDS = {"white": 255, "black": 0, "grey": 128}
CHANNEL_NAMES: dict[int, Literal["grey", "rgb"]] = {1: "grey", 3: "rgb"}


class SourceKind(Enum):
    """The kinds of data sources; `SHARDS` are of pictures."""

    BUILT_IN = auto()
    FOLDER = auto()
    ARRAY = auto()
    TABLE = auto()
    SHARDS = auto()
    ARRAY_SHARDS = auto()


SHARD_KINDS = frozenset({SourceKind.SHARDS, SourceKind.ARRAY_SHARDS})


@final
@dataclass(frozen=True)
class DataSource:
    """Where a data set comes from.

    Attributes:
        name: the name of a built-in data set, or the path as it was given.
        kind: what it is.
    """

    name: str
    kind: SourceKind

    @property
    def absolute_name(self) -> str:
        """A name that means the same in every folder."""
        if self.kind is SourceKind.BUILT_IN or is_remote(self.name):
            return self.name
        is_open = is_pattern(self.name) and not exists(self.name)
        return absolute_pattern(self.name) if is_open else str(Path(self.name).resolve())


def find_source(name: str, key: str = "") -> DataSource:
    """Decide what a name means, without reading any data but the schema of a Parquet file.

    Nothing is asked of a network: whether there are shards at a URL is found when they are opened.

    Args:
        name: a built-in name, the path of a folder or file, or shards as in `shard_names.py`.
        key: the setting or the parameter that has this name, for the error message.

    Raises:
        UsageError: it means nothing, and then the message names the nearest name; or it is a pipe,
            a socket or a device.
    """
    if not name:
        missing = mark(key) if key else "the name of the data"
        raise UsageError(f'{missing} "": name a folder, file or data set')
    if name in BUILT_IN_NAMES:
        return DataSource(name, SourceKind.BUILT_IN)
    if is_remote(name):
        return _remote_source(name)
    name = expand_home(name)
    require_file_or_folder(name)
    label = f"{mark(key)} {name}" if key else name
    return DataSource(name, _kind_of_path(name, label) if exists(name) else _pattern(name, label))


def _kind_of_path(name: str, label: str) -> SourceKind:
    """What is at a path.

    Raises:
        UsageError: it is no file that can be read; the message begins with `label`.
    """
    if is_folder(name):
        return _kind_of_shards(name) if _is_folder_of_shards(name) else SourceKind.FOLDER
    suffix = suffix_of(name)
    if suffix in PICTURE_SUFFIXES:
        raise UsageError(f"{label} is one picture: name the folder in which it lies")
    if name.lower().endswith((".tar", *PACKED_SUFFIXES)):
        require_one_kind([name], name)
        return SourceKind.SHARDS
    if suffix in TABLE_SUFFIXES:
        has_pictures = suffix in PARQUET_SUFFIXES and _has_pictures(name)
        return SourceKind.SHARDS if has_pictures else SourceKind.TABLE
    if suffix in ARRAY_SUFFIXES:
        return SourceKind.ARRAY
    kinds = ", ".join((*ARRAY_SUFFIXES, *TABLE_SUFFIXES, ".tar"))
    raise UsageError(f"{label} is no folder, and no file that can be read: {kinds}")


def _pattern(name: str, label: str) -> SourceKind:
    """Shards that a pattern means.

    Raises:
        UsageError: it is none, or means no shards, or not all of them are there.
    """
    if not is_pattern(name):
        raise UsageError(f"{label}: no such folder, file or data set; {_suggest(name)}")
    return _kind_of_shards(name)


def _kind_of_shards(name: str) -> SourceKind:
    """What shards on this machine hold.

    Raises:
        UsageError: they are not there, or are of several kinds.
    """
    return _kind_of_shard(find_shards(name, LocalFiles())[0])


def _kind_of_shard(path: str) -> SourceKind:
    is_array = kind_of_shard(path) == ARRAY_SHARD
    return SourceKind.ARRAY_SHARDS if is_array else SourceKind.SHARDS


def _remote_source(name: str) -> DataSource:
    """Shards at a URL.

    Raises:
        UsageError: its ending is that of no shard, or what reads it is not installed.
    """
    ending = suffix_of(name)
    if not is_shard(name) and ending in {*TABLE_SUFFIXES, *ARRAY_SUFFIXES, *PICTURE_SUFFIXES}:
        raise UsageError(f"{name}: only shards (.tar, .parquet, .npy) are read from a URL: copy it")
    if name.lower().endswith(PACKED_SUFFIXES):
        require_one_kind([name], name)
    expand_braces(name)  # which says what is wrong with them
    require_installed(name)
    return DataSource(name, _kind_of_shard(name))


def _is_folder_of_shards(folder: str) -> bool:
    """Whether a folder, or its sub-folders, have shards, and no pictures beside them.

    Hidden files do not count. The search ends at the first picture.
    """
    has_shards = False
    for top in (folder, *_folders(folder)):
        for name in _names(top):
            if name.lower().endswith(PICTURE_SUFFIXES):
                return False
            has_shards = has_shards or is_shard(name)
    return has_shards


def _folders(folder: str) -> Iterator[str]:
    """The folders in a folder; none if it cannot be read, which opening it says."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (e.path for e in entries if e.is_dir() and not e.name.startswith("."))


def _names(folder: str) -> Iterator[str]:
    """The names of what is in a folder, without what is hidden."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if not entry.name.startswith("."))


def _has_pictures(path: str) -> bool:
    """Whether a Parquet file has a column of pictures; one that cannot be read is a table."""
    from vae_cli.data.parquet_columns import find_picture_column

    return find_picture_column(path) is not None


def suffix_of(path: Path | str) -> str:
    """The ending of a name in lower case, as in `.csv` or `.csv.gz`."""
    known = Path(path)
    suffix = known.suffix.lower()
    return Path(known.stem).suffix.lower() + suffix if suffix == ".gz" else suffix


def is_data(name: str) -> bool:
    """Whether a name is that of a built-in data set, of a file or a folder, or of shards.

    A URL is taken for data that are there: only opening it tells.
    """
    if name in BUILT_IN_NAMES or is_remote(name) or exists(name):
        return True
    with suppress(UsageError):
        return is_pattern(name) and bool(find_shards(name, LocalFiles()))
    return False


def is_sharded(name: str) -> bool:
    """Whether a name is that of shards."""
    with suppress(UsageError):
        return find_source(name).kind in SHARD_KINDS
    return False


def is_picture(name: str) -> bool:
    """Whether a name is that of one file with the extension of a picture."""
    is_named = Path(name).suffix.lower() in PICTURE_SUFFIXES
    return is_named and exists(name) and not is_folder(name)


def require_present(name: str, label: str) -> None:
    """Check that the data that a run was trained on are still there.

    Raises:
        UsageError: they are not; the message begins with `label`, and names the parameter that
            takes their new place.
    """
    if not is_data(name):
        raise UsageError(
            f"{label} ({name}) are not here: if they have moved, name their place "
            f"with {mark('data')}"
        )


def require_kind(source: DataSource, spec: "Spec") -> None:
    """Check that a source can have items of the kind that a model learned, without reading any.

    Raises:
        UsageError: it has pictures, and the model learned vectors; or the other way round.
    """
    if source.kind is SourceKind.TABLE and spec.is_image:
        raise UsageError(f"{source.name} is a table, but {spec.name} is of images")
    if source.kind not in {SourceKind.ARRAY, SourceKind.TABLE} and not spec.is_image:
        what = "a folder" if source.kind is SourceKind.FOLDER else "of images"
        raise UsageError(f"{source.name} is {what}, but {spec.name} is of vectors")


def _suggest(name: str) -> str:
    """The nearest name among the built-in data sets and the files in the same folder."""
    neighbours: dict[str, str] = {}
    path = Path(name)
    with suppress(OSError, ValueError):
        neighbours = {other: str(path.with_name(other)) for other in os.listdir(path.parent)}  # noqa: PTH208
    known = {one: one for one in BUILT_IN_NAMES} | neighbours
    near = [known[one] for one in difflib.get_close_matches(path.name, known, 1)]
    return f"did you mean {near[0]}?" if near else f"data sets are {', '.join(BUILT_IN_NAMES)}"
