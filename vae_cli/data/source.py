"""The names of all data sources, and what a name means; nothing here reads data or imports torch.

One rule for every command: the name of a built-in data set means that data set, and anything else
is a path. `./shapes` is a path, because no built-in name has a slash.
"""

import difflib
import os
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

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
FOLDER_KEYS = ("image_size", "channels", "background", "frames")  # settings of folders alone
TABLE_KEYS = ("label", "drop", "id", "columns", "missing")  # settings of tables alone
CHANNELS = {"auto": 0, "grey": 1, "rgb": 3}
BACKGROUNDS = {"white": 255, "black": 0, "grey": 128}
CHANNEL_NAMES: dict[int, Literal["grey", "rgb"]] = {1: "grey", 3: "rgb"}


class SourceKind(Enum):
    """The kinds of data sources."""

    BUILT_IN = auto()
    FOLDER = auto()
    ARRAY = auto()
    TABLE = auto()


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
        return self.name if self.kind is SourceKind.BUILT_IN else str(Path(self.name).resolve())


def find_source(name: str, key: str = "") -> DataSource:
    """Decide what a name means, without reading any data.

    Args:
        name: a built-in name, or the path of a folder or file.
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
    name = expand_home(name)
    require_file_or_folder(name)
    suffix = suffix_of(name)
    if is_folder(name):
        return DataSource(name, SourceKind.FOLDER)
    label = f"{mark(key)} {name}" if key else name
    if not exists(name):
        raise UsageError(f"{label}: no such folder, file or data set; {_suggest(name)}")
    if suffix in TABLE_SUFFIXES:
        return DataSource(name, SourceKind.TABLE)
    if suffix in ARRAY_SUFFIXES:
        return DataSource(name, SourceKind.ARRAY)
    if suffix in PICTURE_SUFFIXES:
        raise UsageError(f"{label} is one picture: name the folder in which it lies")
    kinds = ", ".join((*ARRAY_SUFFIXES, *TABLE_SUFFIXES))
    raise UsageError(f"{label} is no folder, and no file that can be read: {kinds}")


def suffix_of(path: Path | str) -> str:
    """The ending of a name in lower case, as in `.csv` or `.csv.gz`."""
    known = Path(path)
    suffix = known.suffix.lower()
    return Path(known.stem).suffix.lower() + suffix if suffix == ".gz" else suffix


def is_data(name: str) -> bool:
    """Whether a name is that of a built-in data set, or of a file or a folder."""
    return name in BUILT_IN_NAMES or exists(name)


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
    if name not in BUILT_IN_NAMES and not exists(name):
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
    if source.kind in {SourceKind.FOLDER, SourceKind.BUILT_IN} and not spec.is_image:
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
