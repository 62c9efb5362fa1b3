"""Arrays as data sets: `(N, H, W)`, `(N, H, W, C)` and `(N, C, H, W)` are images, `(N, D)` rows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from vae_cli.data.array_files import read_array_file
from vae_cli.data.array_labels import read_labels
from vae_cli.data.budget import require_items, require_memory
from vae_cli.data.dataset import Parts, Spec, Split, UndividedDataset
from vae_cli.data.held_out import divide, hash_keys, warn_of_copies
from vae_cli.data.table_columns import default_columns
from vae_cli.errors import UsageError

CHANNELS = range(1, 5)
CHUNK_ITEMS = 4096  # items that are read together
WIDER = {  # types for which torch lacks operations, and types that have them
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.uint64: torch.float64,
    torch.bfloat16: torch.float32,
}
FLOAT_TYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
IMAGE_TYPES = {torch.uint8} | FLOAT_TYPES
ROW_TYPES = {torch.int8, torch.int16, torch.int32, torch.int64} | IMAGE_TYPES | WIDER.keys()


@final
class Arrays(UndividedDataset):
    """The images or rows in an array file, in one part or in two.

    Args:
        path: ends in `.npy`, `.npz` or `.safetensors`.
        test_fraction: the expected share of the items that is held out, by their contents, if the
            file has no part for testing.

    Raises:
        UsageError: the file is missing, damaged, or does not hold images or rows; or its labels do
            not fit its items.
    """

    path: Path

    def __init__(self, path: Path, *, test_fraction: float) -> None:
        parts = read_array_file(path)
        self.items = _same_shape([_channels_first(part.items, path) for part in parts], path)
        counts = [len(items) for items in self.items]
        labels, classes = read_labels([part.labels for part in parts], counts, path)
        self.labels = labels.split(counts) if len(labels) else (labels,) * len(parts)
        shape = tuple(self.items[0].shape[1:])
        columns = default_columns(shape[0]) if len(shape) == 1 else ()
        self.spec = Spec(path.stem, shape, classes, columns=columns, cropped=True)
        self.path, self.test_fraction = path, test_fraction

    def divide(self) -> Parts:
        """The file's own two parts, or else those that a hash of each item's contents decides.

        Raises:
            UsageError: a value is out of range, or one of the parts would be empty.
        """
        parts = [
            replace(Split.whole(items, labels), hashes=hash_keys(read_keys(items, self.path)))
            for items, labels in zip(self.items, self.labels, strict=True)
        ]
        if len(parts) == 1:
            (whole,) = parts
            assert whole.hashes is not None
            halves = divide(whole.hashes, self.test_fraction, self.spec.name)
            parts = [whole.take(rows) for rows in halves]
        both = Parts(*parts)
        if self.test_fraction:  # or else they are for a model that has learned already
            warn_of_copies(both)
        return both


def read_arrays(path: Path) -> Tensor:
    """All items in a file: `(N, C, H, W)` or `(N, D)`.

    Raises:
        UsageError: the file is missing, damaged, or does not hold images or rows.
    """
    parts = [_channels_first(part.items, path) for part in read_array_file(path)]
    return parts[0] if len(parts) == 1 else torch.cat(_same_shape(parts, path))


def _same_shape(parts: list[Tensor], path: Path) -> list[Tensor]:
    """The same parts.

    Raises:
        UsageError: their items have different shapes.
    """
    shapes = {tuple(items.shape[1:]) for items in parts}
    if len(shapes) > 1:
        named = " and of ".join("x".join(map(str, shape)) for shape in sorted(shapes))
        raise UsageError(f"{path} has two parts, with items of {named}")
    return parts


def fit_to_spec(items: Tensor, spec: Spec) -> Tensor:
    """Bring items, or a single one, to the shape of a spec: `(N, C, H, W)` or `(N, D)`.

    The channels of images may come last, or may be missing if there is only one.

    Raises:
        UsageError: the type of number, the shape or the values are not those of the spec.
    """
    given = items.shape
    items = with_supported_type(items, "the array", is_image=spec.is_image)
    if spec.is_image:
        channels, height, width = spec.shape
        if channels == 1 and items.shape[-2:] == (height, width):
            items = items.reshape(-1, 1, height, width) if items.ndim < 4 else items  # noqa: PLR2004
        elif items.shape[-3:] == (height, width, channels) and items.shape[-3:] != spec.shape:
            items = items.movedim(-1, -3)
    if items.shape == spec.shape:
        items = items[None]
    if items.shape[1:] != spec.shape or not len(items):
        spec.require_shape(given, "the array")
    require_valid_values(items, "the array")
    return items


def read_keys(items: Tensor, path: Path) -> Iterator[bytes]:
    """The bytes of each item, after its values were validated.

    Raises:
        UsageError: a value is out of range.
    """
    for start in range(0, len(items), CHUNK_ITEMS):
        some = items[start : start + CHUNK_ITEMS]
        require_valid_values(some, path, start)
        yield from (row.tobytes() for row in some.contiguous().numpy())


def require_valid_values(items: Tensor, source: object, first_row: int = 0) -> None:
    """Check that pixels are in [0, 1] if they are floats, and that all other values are finite.

    Args:
        items: images `(N, C, H, W)`, or rows `(N, D)`.
        source: where they come from, for the error message.
        first_row: the row of the first item in the source.

    Raises:
        UsageError: a value is out of range; the message gives its place.
    """
    if not items.is_floating_point():
        return
    is_image = items.ndim > 2  # noqa: PLR2004
    wrong = ~items.isfinite()
    if is_image:
        wrong |= (items < 0) | (items > 1)
    if wrong.any():
        row, *place = wrong.nonzero()[0].tolist()
        value, wanted = float(items[row, *place]), "in [0, 1]" if is_image else "finite"
        where = f"row {first_row + row}, {'pixel' if is_image else 'column'} {place}"
        raise UsageError(f"{source}: {value} at {where} is not {wanted}")


def with_supported_type(items: Tensor, source: object, *, is_image: bool) -> Tensor:
    """Items with a type of number that this package computes with.

    This is the one rule for files and for the API: images are uint8 from 0 to 255, or floats in
    [0, 1]; rows of a table are any real numbers except bool. Types for which torch lacks
    operations become wider ones with the same values.

    Raises:
        UsageError: the items have another type, or the wider ones would be too large.
    """
    name = str(items.dtype).removeprefix("torch.")
    if is_image and items.dtype not in IMAGE_TYPES:
        raise UsageError(
            f"{source} holds {name}: images are uint8, or floats in [0, 1]; convert it first"
        )
    if items.dtype not in ROW_TYPES:
        raise UsageError(f"{source} holds {name}: vectors are of real numbers; convert it first")
    wider = WIDER.get(items.dtype)
    if wider is None:
        return items
    require_memory(items.numel() * wider.itemsize, source)
    return items.to(wider)


def _channels_first(items: Tensor, path: Path) -> Tensor:
    """Images as `(N, C, H, W)`, rows as `(N, D)`, without a copy.

    Raises:
        UsageError: the shape or the type of number is neither.
    """
    shape = " x ".join(map(str, items.shape))
    if 0 in items.shape:
        raise UsageError(f"{path} is {shape}: it holds no numbers")
    match items.shape:
        case [_, _]:
            ordered = items
        case [_, _, _]:
            ordered = items[:, None]
        case [_, _, _, last] if last in CHANNELS:
            ordered = items.permute(0, 3, 1, 2)
        case [_, first, _, _] if first in CHANNELS:
            ordered = items
        case _:
            raise UsageError(
                f"{path} is {shape}: images are N x H x W, N x H x W x C or N x C x H x W with 1 "
                "to 4 channels, vectors N x D"
            )
    require_items(len(ordered), path)
    return with_supported_type(ordered, path, is_image=items.ndim > 2)  # noqa: PLR2004
