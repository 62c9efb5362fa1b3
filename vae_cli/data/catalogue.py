"""The names of all data sources, and how a name becomes a data set.

One rule for every command: the name of a built-in data set means that data set, and anything else
is a path. `./shapes` is a path, because no built-in name has a slash.
"""

import dataclasses
import difflib
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vae_cli.data.torchvision_sets import SOURCES
from vae_cli.errors import UsageError
from vae_cli.files import exists, expand_home, is_folder, require_file_or_folder

if TYPE_CHECKING:
    from vae_cli.data.dataset import Dataset, PictureRules, Progress, Spec, TableRules

BUILT_IN_NAMES = ("fashion-mnist", "shapes", "shapes-32", *SOURCES)
ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors")
TABLE_SUFFIXES = (".csv", ".tsv")
PICTURE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp"),
    *(".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jfif"),
    *(".avif", ".jp2", ".j2k", ".heic", ".heif"),
)
FOLDER_KEYS = ("image_size", "channels", "background", "frames")  # settings of folders alone
TABLE_KEYS = ("label", "drop", "missing")  # settings of tables alone
CHANNELS = {"auto": 0, "grey": 1, "rgb": 3}
BACKGROUNDS = {"white": 255, "black": 0, "grey": 128}
CHANNEL_NAMES: dict[int, Literal["grey", "rgb"]] = {1: "grey", 3: "rgb"}


class SourceKind(Enum):
    """The kinds of data sources."""

    BUILT_IN = auto()
    FOLDER = auto()
    ARRAY = auto()
    TABLE = auto()


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


def find_source(name: str, flag: str = "") -> DataSource:
    """Decide what a name means, without reading any data.

    Args:
        name: a built-in name, or the path of a folder or file.
        flag: the option that it was given to, for the error message.

    Raises:
        UsageError: it means nothing, and then the message names the nearest name; or it is a pipe,
            a socket or a device.
    """
    if not name:
        raise UsageError(f'{flag or "the name of the data"} "": name a folder, file or data set')
    if name in BUILT_IN_NAMES:
        return DataSource(name, SourceKind.BUILT_IN)
    name = expand_home(name)
    require_file_or_folder(name)
    suffix = Path(name).suffix.lower()
    if is_folder(name):
        return DataSource(name, SourceKind.FOLDER)
    label = f"{flag} {name}".lstrip()
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


def is_data(name: str) -> bool:
    """Whether a name is that of a built-in data set, or of a file or a folder."""
    return name in BUILT_IN_NAMES or exists(name)


def is_picture(name: str) -> bool:
    """Whether a name is that of one file with the extension of a picture."""
    is_named = Path(name).suffix.lower() in PICTURE_SUFFIXES
    return is_named and exists(name) and not is_folder(name)


def require_present(name: str, label: str, flag: str = "--data") -> None:
    """Check that the data that a run was trained on are still there.

    Raises:
        UsageError: they are not; the message begins with `label`, and names the option that takes
            their new place.
    """
    if name not in BUILT_IN_NAMES and not exists(name):
        raise UsageError(
            f"{label} ({name}) are not here: if they have moved, name their place with {flag}"
        )


def open_dataset(
    source: DataSource,
    *,
    test_fraction: float,
    pictures: "PictureRules | None" = None,
    rules: "TableRules | None" = None,
    like: "Spec | None" = None,
    progress: "Progress",
) -> "Dataset":
    """Open a data source.

    Args:
        source: what to open.
        test_fraction: the expected share of the items that is held out.
        pictures: how the pictures of a folder, or the images of an array, are read and divided.
        rules: the columns of a table that are not learned, and what to do about missing values.
        like: what a model learned; pictures and columns are fitted to it, and its range is used.
        progress: called with what was read so far and the total, in pictures or in mebibytes.

    Raises:
        UsageError: the data cannot be used.
        VAEError: the cache cannot be written, or a download fails.
    """
    path = Path(source.name)
    from vae_cli.data.dataset import PictureRules, TableRules

    pictures = pictures or PictureRules()
    if source.kind is not SourceKind.TABLE and (rules or TableRules()) != TableRules():
        raise UsageError(f"--label, --drop and --missing are for tables, not {source.name}")
    if source.kind is SourceKind.FOLDER:
        from vae_cli.data.folder import PictureFolder

        return PictureFolder(
            path,
            rules=pictures,
            like=like,
            test_fraction=test_fraction,
            progress=progress,
        )
    if source.kind is SourceKind.BUILT_IN and exists(source.name):
        taken = f"{source.name} is the built-in data set"
        warnings.warn(f"{taken}; ./{source.name} names what is in this folder", stacklevel=2)
    _refuse_folder_flags(pictures, source.name)
    if pictures.value_range and source.kind is not SourceKind.ARRAY:
        raise UsageError(f"--range is for pictures and arrays, not {source.name}")
    match source.kind:
        case SourceKind.TABLE:
            from vae_cli.data.table import Table

            return Table(
                path,
                rules=rules,
                like=like,
                test_fraction=test_fraction,
                learns_index=pictures.version == 1,
                progress=progress,
            )
        case SourceKind.ARRAY:
            from vae_cli.data.arrays import Arrays

            return Arrays(path, rules=pictures, like=like, test_fraction=test_fraction)
        case _:
            return _open_built_in(source.name, test_fraction, progress)


def open_dataset_for(
    spec: "Spec",
    name: str,
    progress: "Progress",
    *,
    test_fraction: float = 0.0,
    pictures: "PictureRules | None" = None,
) -> "Dataset":
    """Open data for a trained model.

    Args:
        spec: what the model learned; pictures and columns are fitted to it.
        name: a built-in name, or the path of a folder or file.
        progress: called with what was read so far and the total, in pictures or in mebibytes.
        test_fraction: the expected share of the items that is held out; with 0, all items are in
            one part, unless the data have two.
        pictures: how the pictures of a folder, or the images of an array, are divided.

    Raises:
        UsageError: there is no such source, or its items do not fit the model.
        VAEError: the cache cannot be written, or a download fails.
    """
    source = find_source(name)
    require_kind(source, spec)
    dataset = open_dataset(
        source, test_fraction=test_fraction, pictures=pictures, like=spec, progress=progress
    )
    spec.require_shape(dataset.spec.shape, name)
    return dataset


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


def _refuse_folder_flags(pictures: "PictureRules", name: str) -> None:
    """Refuse what is only possible with a folder of pictures.

    Raises:
        UsageError: one of its options was used; the message names it.
    """
    given, default = dataclasses.asdict(pictures), dataclasses.asdict(type(pictures)())
    flags = [f"--{key.replace('_', '-')}" for key in FOLDER_KEYS if given[key] != default[key]]
    if flags:
        are = "is" if len(flags) == 1 else "are"
        raise UsageError(f"{' and '.join(flags)} {are} for folders of pictures, not {name}")


def _open_built_in(name: str, test_fraction: float, progress: "Progress") -> "Dataset":
    from vae_cli.data.downloads import Downloaded
    from vae_cli.data.fashion_mnist import FashionMNIST
    from vae_cli.data.shapes import Shapes

    match name:
        case "fashion-mnist":
            return FashionMNIST()
        case "shapes" | "shapes-32":
            return Shapes(test_fraction=test_fraction, name=name)
        case _:
            return Downloaded(name, progress=progress)


def _suggest(name: str) -> str:
    """The nearest name among the built-in data sets and the files in the same folder."""
    neighbours: dict[str, str] = {}
    path = Path(name)
    with suppress(OSError, ValueError):
        neighbours = {other: str(path.with_name(other)) for other in os.listdir(path.parent)}  # noqa: PTH208
    known = {one: one for one in BUILT_IN_NAMES} | neighbours
    near = [known[one] for one in difflib.get_close_matches(path.name, known, 1)]
    return f"did you mean {near[0]}?" if near else f"data sets are {', '.join(BUILT_IN_NAMES)}"
