"""The index of a shard: where each item lies in it, its name and its class.

To make it, the headers of a whole tar are read. So it is made once, and kept in the cache under a
name that changes with the file. It is a Parquet file with a checksum in each page.
"""

import hashlib
import importlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedReader
from typing import Any, final

import numpy as np
import pyarrow as pa

from vae_cli.data.cache import cache_folder
from vae_cli.data.dataset import Progress
from vae_cli.data.held_out import hash_keys
from vae_cli.data.picture_files import Header, decoders_silenced
from vae_cli.data.shard_files import LocalShard, ShardFile, read_at
from vae_cli.errors import UsageError, VAEError, is_memory_full
from vae_cli.files import read_file, write_bytes

VERSION = 2  # of the contents of an index; a change makes every shard be looked at again
MAX_INDEX = 2**32  # bytes
FACTS = b"vae"  # the key of what is known besides the columns
SAMPLES, SAMPLE_BYTES = 64, 4096  # of a file
BRINGING = 4  # shards that are brought here at the same time
Make = Callable[[BufferedReader, ShardFile], "ShardIndex"]


@final
@dataclass(frozen=True)
class ShardIndex:
    """What is known about the items of a shard.

    Attributes:
        table: a row for each item. Column `key` has its name, which follows the shard's; `hash` a
            number in [0, 1) of both; `offset` and `size` its place in a tar; `label` its class as a
            text, or null.
        facts: what else is known, in JSON: see `make_index`.
    """

    table: Any
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def without(self, *columns: str) -> "ShardIndex":
        """The same without some columns, which take memory."""
        return replace(self, table=self.table.drop_columns(list(columns)))

    def key(self, place: int) -> str:
        """The name of an item, which follows that of the shard."""
        return str(self.table.column("key")[place])

    @property
    def headers(self) -> list[Header]:
        """Those of some pictures."""
        return [Header(*header) for header in self.facts["headers"]]

    def numbers(self, column: str) -> np.ndarray:
        """A column of numbers `(N,)`."""
        found: np.ndarray = self.table.column(column).to_numpy()
        return found


def make_index(
    file: ShardFile,
    keys: Sequence[str],
    columns: Mapping[str, Any] | None = None,
    *,
    labels: Sequence[str | None] | None = None,
    **facts: Any,
) -> ShardIndex:
    """The index of a shard.

    Args:
        file: the shard.
        keys: the names of the items, which follow that of the shard.
        columns: others, `(N,)` each.
        labels: the class of each item; None if there are none.
        facts: `headers` of some pictures; `classes`, the names of all classes in their order;
            `left_out`, a number of pictures by the reason; and what only one kind of shards needs.
    """
    hashes = hash_keys((file.name + key).encode(errors="surrogateescape") for key in keys)
    known = [None] * len(keys) if labels is None else list(labels)
    texts = pa.array([key.encode(errors="backslashreplace").decode() for key in keys], pa.string())
    classes = pa.array(known, pa.string())
    table = pa.table({"key": texts, "hash": hashes.numpy(), "label": classes, **(columns or {})})
    digest = hashlib.sha256(json.dumps([texts.to_pylist(), known, facts]).encode()).hexdigest()
    defaults = {"headers": [], "classes": [], "left_out": {}, "digest": digest}
    return ShardIndex(table, {**defaults, **facts})


def index_shards(
    files: Sequence[ShardFile], kind: str, make: Make, progress: Progress
) -> list[ShardIndex]:
    """The index of each shard, from the cache if it is there.

    Args:
        files: the shards.
        kind: of all of them, because the same file may be read in several ways.
        make: makes the index of an open shard.
        progress: called with the number of shards and that of all.

    Raises:
        VAEError: a shard cannot be read.
    """
    are_here = all(isinstance(file, LocalShard) for file in files)
    threads = (os.cpu_count() if are_here else None) or BRINGING
    with decoders_silenced(), ThreadPoolExecutor(threads) as pool:
        found = []
        try:
            for index in pool.map(lambda file: _index_of(file, kind, make), files):
                found.append(index)
                progress(len(found), len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _index_of(file: ShardFile, kind: str, make: Make) -> ShardIndex:
    path = os.path.realpath(file.path) if os.path.exists(file.path) else file.path  # noqa: PTH110
    facts = json.dumps([VERSION, kind, path, file.stamp])
    target = cache_folder() / f"index-{hashlib.sha256(facts.encode()).hexdigest()[:32]}.parquet"
    with suppress(OSError, UsageError, ValueError, LookupError, pa.ArrowException):
        return _load(read_file(target, MAX_INDEX))
    with file.open() as opened:
        try:
            index = make(opened, file)
            index = replace(index, facts={**index.facts, "sample": sample_bytes(opened)})
        except VAEError:
            raise
        except Exception as error:  # whatever a library raises is about the file
            reason = "the memory is full" if is_memory_full(error) else "it is damaged"
            raise UsageError(f"cannot read {file.path}: {reason}") from error
    write_bytes(target, _dump(index))
    return index


def sample_bytes(opened: BufferedReader) -> str:
    """A digest of some parts of a file, from its beginning to its end.

    It tells a file from another one with the same names and sizes in it, without reading all of it.
    """
    size, digest = os.fstat(opened.fileno()).st_size, hashlib.sha256()
    for place in range(0, size, max(size // SAMPLES, 1)):
        digest.update(read_at(opened, place, SAMPLE_BYTES))
    return digest.hexdigest()


def _dump(index: ShardIndex) -> bytes:
    parquet = importlib.import_module("pyarrow.parquet")
    table = index.table.replace_schema_metadata({FACTS: json.dumps(dict(index.facts))})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def _load(content: bytes) -> ShardIndex:
    """An index as it was written.

    Raises:
        ValueError, LookupError, OSError, pa.ArrowException: it is damaged.
    """
    parquet = importlib.import_module("pyarrow.parquet")
    table = parquet.read_table(
        io.BytesIO(content), page_checksum_verification=True, use_threads=False
    )
    return ShardIndex(table, json.loads(table.schema.metadata[FACTS]))
