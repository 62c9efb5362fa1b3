"""Which columns of a Parquet file hold pictures and their classes, as on the Hugging Face hub.

A column of pictures is a struct with `bytes` and `path`, or of bytes that begin like a picture. The
names of classes are in the metadata of the schema, under the key `huggingface`
(https://huggingface.co/docs/datasets/about_dataset_features).
"""

import importlib
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from vae_cli.errors import UsageError
from vae_cli.files import open_file

LABEL_NAMES = ("label", "labels", "class", "cls")
METADATA = b"huggingface"
BUFFER_BYTES = 2**20  # of a column that is read at a time
LOOKED_AT = 16  # rows, of which one has bytes that are no null


class PictureColumns(NamedTuple):
    """What a Parquet file has of pictures.

    Attributes:
        picture: the name of the column, perhaps with `.bytes` after it.
        path: the name of the field with the picture's name; empty if there is none.
        label: the name of the column of classes; empty if there is none.
        classes: their names, if the labels are numbers of them.
    """

    picture: str
    path: str
    label: str
    classes: tuple[str, ...]


def open_parquet(file: BinaryIO) -> Any:
    """An open Parquet file, of which little is read ahead.

    Raises:
        OSError: it is no such file, or a damaged one.
    """
    parquet = importlib.import_module("pyarrow.parquet")
    try:
        return parquet.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


def find_picture_column(path: str | Path) -> PictureColumns | None:
    """The columns of pictures and classes of a file; None without one, or if it cannot be read."""
    try:
        with open_file(path) as file:
            return find_columns(open_parquet(file))
    except (OSError, UsageError, pa.ArrowException):
        return None


def find_columns(file: Any) -> PictureColumns | None:
    """The columns of pictures and classes in an open file; None if there are no pictures."""
    schema = file.schema_arrow
    for field in schema:
        column = _bytes_of(field, file)
        if column is not None:
            has_path = pa.types.is_struct(field.type) and field.type.get_field_index("path") >= 0
            label = next((name for name in LABEL_NAMES if name in schema.names), "")
            path = f"{field.name}.path" if has_path else ""
            return PictureColumns(column, path, label, _class_names(schema, label))
    return None


def _bytes_of(field: Any, file: Any) -> str | None:
    """The name of the bytes of a column, if they are those of pictures."""
    if pa.types.is_struct(field.type):
        place = field.type.get_field_index("bytes")
        is_picture = place >= 0 and _is_binary(field.type.field(place).type)
        return f"{field.name}.bytes" if is_picture else None
    if _is_binary(field.type) and _begins_like_pictures(file, field.name):
        return str(field.name)
    return None


def _is_binary(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _begins_like_pictures(file: Any, column: str) -> bool:
    """Whether the first bytes of a column can be opened as a picture."""
    from PIL import Image, UnidentifiedImageError

    batch = next(file.iter_batches(LOOKED_AT, columns=[column]), None)
    values = [] if batch is None else [value for value in batch[0].to_pylist() if value]
    try:
        with Image.open(io.BytesIO(values[0] if values else b"")):
            return True
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return False


def _class_names(schema: Any, label: str) -> tuple[str, ...]:
    """The names of the classes, from what the hub writes beside the schema."""
    names: Sequence[object] = ()
    with suppress(ValueError, LookupError, TypeError):
        known = json.loads((schema.metadata or {})[METADATA])
        names = known["info"]["features"][label]["names"]
    return tuple(map(str, names)) if isinstance(names, list) else ()
