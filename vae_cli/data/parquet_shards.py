"""Parquet files with a column of pictures, of which some groups of rows are in memory at a time.

The rows of a Parquet file lie in groups, which are decompressed as a whole. A training reads
neighbouring items of a shard, so the last groups are kept: all shards together keep `MAX_KEPT`
bytes of them.
"""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from io import BufferedReader
from typing import Any, final

import numpy as np
import pyarrow as pa

from vae_cli.data.parquet_columns import PictureColumns, find_columns, open_parquet
from vae_cli.data.picture_files import PackedPicture, parse_header
from vae_cli.data.shard_files import ShardFile
from vae_cli.data.shard_index import ShardIndex, make_index
from vae_cli.errors import UsageError, VAEWarning, mark

MAX_KEPT = 2**30  # bytes of the groups that are kept
MAX_GROUP = 2**28  # bytes of the pictures in one group
HEADERS = 16  # pictures of a shard whose headers are kept
BATCH_ROWS = 2**16  # of labels, at a time


def index_parquet(opened: BufferedReader, file: ShardFile) -> ShardIndex:
    """The index of a Parquet file.

    Raises:
        UsageError: it is damaged, has no column of pictures, or its groups are too large.
    """
    try:
        known = open_parquet(opened)
        columns = find_columns(known)
        if columns is None:
            raise UsageError(f"{file.path} has no column of pictures, as the other shards have")
        _require_small_groups(known, columns, file)
        headers = _read_headers(known, columns)
        keys, labels = _read_columns(known, columns)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{file.path} is no Parquet file, or a damaged one") from error
    return make_index(
        file,
        keys,
        labels=labels,
        headers=headers,
        classes=list(columns.classes),
        column=columns.picture,
    )


def _require_small_groups(known: Any, columns: PictureColumns, file: ShardFile) -> None:
    """Check that a group of rows can be in memory.

    Raises:
        UsageError: the pictures in one are too large together.
    """
    for number in range(known.metadata.num_row_groups):
        group = known.metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            is_picture = column.path_in_schema == columns.picture
            if is_picture and column.total_uncompressed_size > MAX_GROUP:
                raise UsageError(
                    f"{file.path} has groups of rows with over {MAX_GROUP >> 20} MiB of pictures: "
                    "write it again with row_group_size=1000"
                )


def _read_headers(known: Any, columns: PictureColumns) -> list[Any]:
    batch = next(known.iter_batches(HEADERS, columns=[columns.picture], use_threads=False), None)
    values = [] if batch is None else _flatten(batch.column(0)).to_pylist()
    pictures = [PackedPicture("", value) for value in values if value]
    return [header for picture in pictures if (header := parse_header(picture))]


def _flatten(column: Any) -> Any:
    """The bytes of pictures, which may be a field of a struct."""
    return pa.compute.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def _read_columns(known: Any, columns: PictureColumns) -> tuple[list[str], list[str | None]]:
    """The name of each picture, and its class."""
    chosen = [name for name in (columns.path, columns.label) if name]
    keys: list[str] = []
    labels: list[str | None] = []
    batches = known.iter_batches(BATCH_ROWS, columns=chosen, use_threads=False) if chosen else ()
    for batch in batches:
        names = [None] * len(batch)
        if columns.path:
            struct = batch.column(columns.path.rpartition(".")[0])
            names = pa.compute.struct_field(struct, "path").to_pylist()
        start = len(keys)
        keys += [f"/{name}" if name else f"[{start + row}]" for row, name in enumerate(names)]
        if columns.label:
            values = batch.column(columns.label).to_pylist()
            labels += [_name_label(value, columns.classes) for value in values]
    keys += [f"[{row}]" for row in range(len(keys), known.metadata.num_rows)]
    return keys, labels or [None] * len(keys)


def _name_label(value: object, classes: Sequence[str]) -> str | None:
    """The class of a picture; the hub writes -1 where it is not known."""
    if isinstance(value, int) and not isinstance(value, bool):
        if classes:
            return classes[value] if 0 <= value < len(classes) else None
        return None if value < 0 else str(value)
    return value or None if isinstance(value, str) else None


@final
class RowGroups:
    """The groups of rows that were read last, of all open shards together.

    Another process that gets an object has none of them.
    """

    def __init__(self) -> None:
        self.lock, self.size, self.again = threading.Lock(), 0, False
        self.kept: OrderedDict[tuple[object, int], Any] = OrderedDict()

    def __reduce__(self) -> tuple[type["RowGroups"], tuple[()]]:
        return RowGroups, ()

    def get(self, owner: object, group: int) -> Any:
        """A group of an owner; None if it is not kept."""
        with self.lock:
            if (owner, group) in self.kept:
                self.kept.move_to_end((owner, group))
            return self.kept.get((owner, group))

    def put(self, owner: object, group: int, values: Any) -> None:
        """Keep a group, and no longer those that were used before all others."""
        with self.lock:
            self.kept[owner, group] = values
            self.size += values.nbytes
            while self.size > MAX_KEPT and len(self.kept) > 1:
                self.size -= self.kept.popitem(last=False)[1].nbytes

    def drop(self, owner: object) -> None:
        """No longer keep the groups of an owner."""
        with self.lock:
            for key in [key for key in self.kept if key[0] == owner]:
                self.size -= self.kept.pop(key).nbytes


@final
class OpenParquet:
    """A Parquet file whose pictures can be read at any place, by several threads.

    Args:
        opened: the file.
        index: of its pictures.
        groups: keeps groups of rows.
    """

    def __init__(self, opened: BufferedReader, index: ShardIndex, groups: RowGroups) -> None:
        self.opened, self.groups, self.column = opened, groups, index.facts["column"]
        self.file, self.lock, self.seen = open_parquet(opened), threading.Lock(), set[int]()
        metadata = self.file.metadata
        counts = [metadata.row_group(one).num_rows for one in range(metadata.num_row_groups)]
        self.starts = np.cumsum([0, *counts])

    def contents(self, places: Sequence[int]) -> list[bytes]:
        """The bytes of some pictures; none where there is no picture.

        Raises:
            OSError: they cannot be read.
        """
        numbers = np.searchsorted(self.starts, places, side="right") - 1
        kept = {number: self._group(number) for number in dict.fromkeys(numbers.tolist())}
        return [
            kept[number][place - int(self.starts[number])].as_py() or b""
            for number, place in zip(numbers.tolist(), places, strict=True)
        ]

    def _group(self, number: int) -> Any:
        """The pictures of a group of rows."""
        with self.lock:
            values = self.groups.get(self, number)
            if values is None:
                self._warn_of_reading(number)
                values = self._read_group(number)
                self.groups.put(self, number, values)
        return values

    def _read_group(self, number: int) -> Any:
        try:
            table = self.file.read_row_group(number, [self.column], use_threads=False)
        except pa.ArrowException as error:
            raise OSError("it is damaged") from error
        if len(table) != self.starts[number + 1] - self.starts[number]:
            raise OSError("it is damaged")
        return _flatten(table.column(0).combine_chunks())

    def _warn_of_reading(self, number: int) -> None:
        if number in self.seen and not self.groups.again:
            self.groups.again = True
            warnings.warn(
                VAEWarning(
                    f"{self.opened.name} is read slowly, because its pictures are too large to be "
                    f"kept: try {mark('data.shuffle_window=2048')}"
                ),
                stacklevel=2,
            )
        self.seen.add(number)

    def close(self) -> None:
        """Close the file, and no longer keep its groups."""
        self.groups.drop(self)
        self.opened.close()
