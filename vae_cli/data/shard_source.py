"""From the name of shards to what a training reads: `open_shards`."""

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from pyarrow import compute
from torch import Tensor

from vae_cli.data.array_shards import ArrayShards, choose_limits, index_array
from vae_cli.data.arrays import NO_LABELS
from vae_cli.data.cells import NO_CLASS
from vae_cli.data.dataset import DEFAULT_PICTURES, PictureRules, Progress, Spec
from vae_cli.data.folder import choose_size
from vae_cli.data.folder_files import PART_NAMES
from vae_cli.data.memory import MAX_CLASSES, require_items
from vae_cli.data.parquet_shards import OpenParquet, RowGroups, index_parquet
from vae_cli.data.picture import Fitting
from vae_cli.data.picture_shards import PictureShards
from vae_cli.data.shard_files import LocalShard, ShardFile
from vae_cli.data.shard_index import ShardIndex, index_shards
from vae_cli.data.shard_names import (
    ARRAY_SHARD,
    LocalFiles,
    find_shards,
    is_remote,
    is_shard,
    kind_of_shard,
    short_name,
)
from vae_cli.data.shards import PartName, Shards
from vae_cli.data.tar_shards import OpenTar, index_tar
from vae_cli.errors import UsageError, mark
from vae_cli.files import expand_home

SHARDS_LOOKED_AT = 16  # at least, to choose size and channels
INDEXES: dict[str, Any] = {".tar": index_tar, ".parquet": index_parquet, ARRAY_SHARD: index_array}
DIGITS = re.compile(r"\d{1,9}", re.ASCII)


class OpenedShards(NamedTuple):
    """Shards, and what their items are.

    Attributes:
        shards: for a training.
        spec: of the items.
        files: those on this machine.
        notes: what is left out, for the user.
        stamp: a text that changes if a file does, here or elsewhere.
    """

    shards: Shards
    spec: Spec
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    stamp: str


def open_shards(
    name: str,
    *,
    rules: PictureRules = DEFAULT_PICTURES,
    like: Spec | None = None,
    progress: Progress,
) -> OpenedShards:
    """Open shards: find the files, and read their indexes, which are made the first time.

    Args:
        name: as in `shard_names.py`.
        rules: how the pictures are read.
        like: a spec whose shape, background, cropping and range are used instead.
        progress: called with the number of shards that are indexed, and of all.

    Raises:
        UsageError: there are no such shards, or they cannot be used.
        VAEError: a shard cannot be brought here, or the cache cannot be written.
    """
    files = find_files(name)
    kind = kind_of_shard(files[0].path)
    assert kind is not None  # or else it is no shard
    if kind == ARRAY_SHARD and is_remote(name) and not is_shard(name):
        raise UsageError(f"{name} holds arrays: name them as in {name.rstrip('/')}/*{kind}")
    indexes = index_shards(files, kind, INDEXES[kind], progress)
    require_items(sum(map(len, indexes)), name)
    labels, classes = join_labels(indexes)
    known = {
        "files": files,
        "indexes": indexes,
        "parts": name_parts([file.path for file in files]),
        "labels": labels,
    }
    spec = like or choose_spec(kind, indexes, rules, name)
    spec = dataclasses.replace(spec, name=short_name(name), classes=classes)
    shards = build_shards(kind, spec, known, is_new=like is None)
    own = tuple(Path(file.path) for file in files if isinstance(file, LocalShard))
    stamps = json.dumps([[file.name, file.stamp] for file in files])
    stamp = hashlib.sha256(stamps.encode()).hexdigest()
    return OpenedShards(shards, spec, own, explain_left_out(indexes, name), stamp)


def find_files(name: str) -> list[ShardFile]:
    """The files that a name means, in their order.

    Raises:
        UsageError: there are none, or not all of them.
        VAEError: nobody answers at a URL.
    """
    if is_remote(name):
        from vae_cli.data.remote_files import RemoteFiles, RemoteShard

        elsewhere = RemoteFiles(name)
        return [RemoteShard(path, elsewhere) for path in find_shards(name, elsewhere)]
    return [LocalShard(Path(path)) for path in find_shards(expand_home(name), LocalFiles())]


def build_shards(kind: str, spec: Spec, known: dict[str, Any], *, is_new: bool) -> Shards:
    """What a training reads.

    Raises:
        UsageError: arrays do not have the shape of the items.
    """
    if kind == ARRAY_SHARD:
        for file, index in zip(known["files"], known["indexes"], strict=True):
            spec.require_shape(index.facts["shape"], file.path)
        return ArrayShards(spec.range, **known, shape=spec.shape)
    opener = OpenTar if kind == ".tar" else partial(OpenParquet, groups=RowGroups())
    return PictureShards(opener, Fitting.of(spec), is_new=is_new, **known)


def choose_spec(kind: str, indexes: Sequence[ShardIndex], rules: PictureRules, name: str) -> Spec:
    """What the items are, as it was asked for, or as it suits the pictures.

    Raises:
        UsageError: it cannot be so.
    """
    if rules.value_range == "data":
        raise UsageError(
            f"{name}: {mark('data.range=data')} would decode all shards first: write "
            f"{mark('data.range=LOW:HIGH')}"
        )
    if kind == ARRAY_SHARD:
        return _choose_array(indexes, rules, name)
    size, channels = rules.image_size, rules.channels
    if not (size and channels):
        step = max(1, len(indexes) // SHARDS_LOOKED_AT)
        headers = [header for index in indexes[::step] for header in index.headers]
        derived = choose_size(headers)
        size, channels = size or derived[0], channels or derived[1]
    return Spec(
        "",
        (channels, size, size),
        background=rules.background,
        cropped=True,
        range=rules.value_range,
    )


def _choose_array(indexes: Sequence[ShardIndex], rules: PictureRules, name: str) -> Spec:
    """What the items of arrays are; the first one decides.

    Raises:
        UsageError: they have several types of number.
    """
    types = {index.facts["dtype"] for index in indexes}
    if len(types) > 1:
        raise UsageError(f"{name} has shards with numbers of {' and of '.join(sorted(types))}")
    assert rules.value_range != "data"  # `choose_spec` has refused it
    limits = choose_limits(types.pop(), rules.value_range, name)
    return Spec("", tuple(indexes[0].facts["shape"]), cropped=True, range=limits)


def name_parts(paths: Sequence[str]) -> list[PartName | None]:
    """The part of each shard: `train`, `test` or `val` in its name, or in that of its folder.

    Without a test or a validation set beside a training set, there are no parts. Where there are,
    shards that do not say are to train on.

    Example:
        >>> name_parts(["data/train-00.parquet", "data/validation-00.parquet"])
        ['train', 'validation']
        >>> name_parts(["cats-test-1.tar", "cats-test-2.tar"])
        [None, None]
    """
    found = [_part_of(path) for path in paths]
    if not (set(found) & {"train", None} and set(found) & {"test", "validation"}):
        return [None] * len(found)
    return [part or "train" for part in found]


def _part_of(path: str) -> PartName | None:
    *folders, file = path.split("/")
    for text in (file.rpartition(".")[0], *folders[-1:]):
        for word in re.split("[^a-z]+", text.casefold()):
            if word in PART_NAMES:
                return PART_NAMES[word]
    return None


def join_labels(indexes: Sequence[ShardIndex]) -> tuple[Tensor, tuple[str, ...]]:
    """The classes of all items: int64 `(N,)`, or `(0,)` if there are none, and their names.

    The names have the order that the shards say. Without one, numbers from 0 are their own places,
    and others are sorted. Where some items have no class, `(none)` is the last one.
    """
    columns = [index.table.column("label").combine_chunks() for index in indexes]
    texts = pa.chunked_array(columns, pa.string())
    if texts.null_count == len(texts):
        return NO_LABELS.numbers, ()
    known = set(compute.unique(texts).to_pylist()) - {None}
    orders = {tuple(index.facts["classes"]) for index in indexes}
    names = list(orders.pop()) if len(orders) == 1 else []
    names = names or sort_classes(known, len(texts))
    if len(names) > MAX_CLASSES:
        return NO_LABELS.numbers, ()
    if texts.null_count:
        names, texts = [*names, NO_CLASS], texts.fill_null(NO_CLASS)
    places = compute.index_in(texts, pa.array(names, pa.string())).to_numpy()
    return torch.from_numpy(places.astype(np.int64)), tuple(names)


def sort_classes(known: Collection[str], count: int) -> list[str]:
    """The names of classes in their order: those from 0 to the largest, if they are numbers.

    Args:
        known: the classes that items have.
        count: of the items.
    """
    if not all(map(DIGITS.fullmatch, known)):
        return sorted(known)
    largest = max(map(int, known))
    if largest < min(count, MAX_CLASSES):
        return list(map(str, range(largest + 1)))
    return sorted(known, key=int)


def explain_left_out(indexes: Sequence[ShardIndex], name: str) -> tuple[str, ...]:
    """One sentence about pictures that are no items, with the reasons; none if there are none."""
    found: Counter[str] = Counter()
    for index in indexes:
        found.update(index.facts["left_out"])
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in found.items())
    return (f"{name}: not read are {reasons}",) if found else ()
