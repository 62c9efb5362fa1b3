"""Every data source as a data set: `open_dataset` is the one door.

The module of a kind of source is imported when one is opened, because it may take long: Pillow
for folders, torchvision for downloads.
"""

import dataclasses
import warnings
from pathlib import Path
from typing import TypedDict, assert_never

from vae_cli.data.conditioning import condition_like, reading_spec
from vae_cli.data.dataset import (
    DEFAULT_PICTURES,
    DEFAULT_TABLE,
    Dataset,
    PictureRules,
    Progress,
    Spec,
    TableRules,
)
from vae_cli.data.source import (
    FOLDER_KEYS,
    SHARD_KEYS,
    SHARD_KINDS,
    SHUFFLE_WINDOW,
    DataSource,
    SourceKind,
    find_source,
    require_kind,
)
from vae_cli.errors import UsageError, mark
from vae_cli.files import exists


class _Rules(TypedDict):
    version: int
    like: Spec | None
    test_fraction: float


def open_dataset(
    source: DataSource,
    *,
    test_fraction: float,
    pictures: PictureRules = DEFAULT_PICTURES,
    table: TableRules = DEFAULT_TABLE,
    version: int = 3,
    like: Spec | None = None,
    window: int = SHUFFLE_WINDOW,
    progress: Progress,
) -> Dataset:
    """Open a data source.

    Args:
        source: what to open.
        test_fraction: the expected share of the items that is held out.
        pictures: how the pictures of a folder, or the images of an array, are read.
        table: the columns of a table that are not learned, and what to do about missing values.
        version: of the rules by which data are read and divided. With 2, equal pictures are in the
            same part, links to folders are followed, pictures that have only the values 0 and 1 are
            black and white, and the index of a table is not learned; with 1, as in runs of earlier
            versions, the names of pictures decide about their part. With 3, the columns of a table
            have kinds; before, all of them are numbers.
        like: what a model learned; pictures and columns are fitted to it, and its range is used.
        window: of the shuffle of data in shards, in items.
        progress: called with what was read so far and the total, in pictures or in mebibytes.

    Raises:
        UsageError: the data cannot be used.
        VAEError: the cache cannot be written, or a download fails.
    """
    _refuse_other_settings(source, pictures, table, window)
    path = Path(source.name)
    rules: _Rules = {"version": version, "like": like, "test_fraction": test_fraction}
    match source.kind:
        case SourceKind.FOLDER:
            from vae_cli.data.folder import PictureFolder

            return PictureFolder(path, rules=pictures, progress=progress, **rules)
        case SourceKind.ARRAY:
            from vae_cli.data.arrays import Arrays

            return Arrays(path, rules=pictures, **rules)
        case SourceKind.TABLE:
            from vae_cli.data.table import Table

            return Table(path, rules=table, progress=progress, **rules)
        case SourceKind.SHARDS | SourceKind.ARRAY_SHARDS:
            return _open_shards(
                source.name, pictures, like, progress, test_fraction=test_fraction, window=window
            )
        case SourceKind.BUILT_IN:
            return _open_built_in(source.name, test_fraction, progress)
        case _:
            assert_never(source.kind)


def open_dataset_for(
    spec: Spec,
    name: str,
    progress: Progress,
    *,
    test_fraction: float = 0.0,
    version: int = 3,
) -> Dataset:
    """Open data for a trained model.

    Args:
        spec: what the model learned; pictures and columns are fitted to it.
        name: a built-in name, or the path of a folder or file.
        progress: called with what was read so far and the total, in pictures or in mebibytes.
        test_fraction: the expected share of the items that is held out; with 0, all items are in
            one part, unless the data have two.
        version: of the rules by which data are divided, as in `open_dataset`.

    Raises:
        UsageError: there is no such source, or its items do not fit the model.
        VAEError: the cache cannot be written, or a download fails.
    """
    source, like = find_source(name), reading_spec(spec)
    require_kind(source, spec)
    dataset = open_dataset(
        source, test_fraction=test_fraction, version=version, like=like, progress=progress
    )
    like.require_shape(dataset.spec.shape, name)
    return condition_like(dataset, spec)


def _refuse_other_settings(
    source: DataSource, pictures: PictureRules, table: TableRules, window: int
) -> None:
    """Refuse settings that a source has no use for.

    Raises:
        UsageError: one of them was used; the message names it.
    """
    name, kind = source.name, source.kind
    named = table.label or table.dropped or table.id or table.kinds
    changes_table = named or table.missing in {"drop", "mean"}
    if kind is not SourceKind.TABLE and changes_table:
        raise UsageError(
            f"{mark('data.label')}, {mark('data.drop')}, {mark('data.id')}, "
            f"{mark('data.columns')} and {mark('data.missing')} are for tables, not {name}"
        )
    if window != SHUFFLE_WINDOW and kind not in SHARD_KINDS:
        raise UsageError(f"{mark('data.shuffle_window')} is for data in shards, not {name}")
    if kind is SourceKind.FOLDER:
        return
    own = SHARD_KEYS if kind is SourceKind.SHARDS else ()
    if kind is SourceKind.BUILT_IN and exists(name):
        taken = f"{name} is the built-in data set"
        warnings.warn(f"{taken}; ./{name} names what is in this folder", stacklevel=3)
    given, default = map(dataclasses.asdict, (pictures, DEFAULT_PICTURES))
    foreign = [key for key in FOLDER_KEYS if key not in own]
    used = [mark(f"data.{key}") for key in foreign if given[key] != default[key]]
    if used:
        are = "is" if len(used) == 1 else "are"
        raise UsageError(f"{' and '.join(used)} {are} for folders of pictures, not {name}")
    if pictures.value_range and kind in {SourceKind.TABLE, SourceKind.BUILT_IN}:
        raise UsageError(f"{mark('data.range')} is for pictures and arrays, not {name}")


def _open_shards(
    name: str,
    rules: PictureRules,
    like: Spec | None,
    progress: Progress,
    *,
    test_fraction: float,
    window: int,
) -> Dataset:
    from vae_cli.data.shard_source import open_shards
    from vae_cli.data.sharded import ShardedPictures

    opened = open_shards(name, rules=rules, like=like, progress=progress)
    return ShardedPictures(opened, test_fraction, window, progress)


def _open_built_in(name: str, test_fraction: float, progress: Progress) -> Dataset:
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
