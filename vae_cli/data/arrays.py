"""Arrays as data sets: `(N, H, W)`, `(N, H, W, C)` and `(N, C, H, W)` are images, `(N, D)` rows.

The labels beside the items are numbers, texts, a column of them, or one-hot rows. Several columns
are factors (factors.py).
"""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.array_files import (
    SCALED_TYPES,
    choose_limits,
    measure_limits,
    read_array_file,
    read_chunks,
    require_valid,
    require_valid_values,
    scale_images,
    type_name,
    widen,
    with_supported_type,
)
from vae_cli.data.batches import to_unit_interval
from vae_cli.data.cells import NO_CLASS, default_columns
from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import DEFAULT_PICTURES, Dataset, Factors, Parts, PictureRules, Spec
from vae_cli.data.factors import labels_of, read_factors
from vae_cli.data.held_out import divide, hash_keys, warn_of_copies
from vae_cli.data.memory import MAX_CLASSES, MappedFile, require_items
from vae_cli.data.split import InMemory
from vae_cli.data.value_range import (
    Limits,
    OutsideRangeError,
    Range,
    Values,
    format_limits,
    join_values,
)
from vae_cli.errors import UsageError, mark

TEXT_KINDS = "US"  # of NumPy
CHANNELS = range(1, 5)


class Labels(NamedTuple):
    """The labels of some items.

    Attributes:
        numbers: int64 `(N,)`, indices into the classes; `(0,)` if there are none.
        classes: the names of the classes.
    """

    numbers: Tensor
    classes: tuple[str, ...]


NO_LABELS = Labels(torch.empty(0, dtype=torch.int64), ())


def read_labels(
    parts: Sequence[np.ndarray | None], counts: Sequence[int], source: object
) -> Labels:
    """The labels of all parts of a data set, one after another.

    They are whole numbers, also as floats, texts, or one-hot rows. Labels that are none of these,
    such as the targets of a regression, are left out with a warning.

    Args:
        parts: the labels of each part; None if it has none.
        counts: the number of items of each part.
        source: where they come from, for messages.

    Raises:
        UsageError: there are more or fewer than items, they do not count from 0, or there are too
            many classes.
    """
    given = [part for part in parts if part is not None]
    if not given:
        return NO_LABELS
    if len(given) < len(parts):
        return _unused(source, "only some of its parts have labels")
    for part, count in zip(given, counts, strict=True):
        _require_count(part, count, source)
    columns = [column for part in given if (column := _as_column(part)) is not None]
    if len(columns) < len(given):
        shape = "x".join(map(str, given[0].shape))
        kind = f"its labels are {shape} of {given[0].dtype}"
        return _unused(source, f"{kind}, and not one whole number or text for each item")
    joined = np.concatenate(columns)
    return _name(joined, source) if joined.dtype.kind in TEXT_KINDS else _number(joined, source)


def _require_count(labels: np.ndarray, count: int, source: object) -> None:
    """Check that there is one label for each item.

    Raises:
        UsageError: there is not.
    """
    if labels.shape[:1] != (count,):
        found = f"{len(labels):,} labels" if labels.ndim else "one label"
        raise UsageError(f"{source} holds {found} for {count:,} items: each item needs one")


def _unused(source: object, reason: str) -> Labels:
    warnings.warn(f"{source}: {reason}, so there are no classes", stacklevel=3)
    return NO_LABELS


def _as_column(labels: np.ndarray) -> np.ndarray | None:
    """Whole numbers or texts `(N,)`; None if the labels are neither."""
    is_text = labels.dtype.kind in TEXT_KINDS
    if not (is_text or labels.dtype.kind in "buif"):
        return None
    if labels[0].size == 1:
        labels = labels.reshape(len(labels))
    if labels.ndim == 2 and not is_text and _is_one_hot(labels):  # noqa: PLR2004
        labels = labels.argmax(1)
    is_whole = is_text or bool((labels == np.trunc(labels)).all() and np.isfinite(labels).all())
    return labels if labels.ndim == 1 and is_whole else None


def _is_one_hot(rows: np.ndarray) -> bool:
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(1) == 1).all())


def _number(labels: np.ndarray, source: object) -> Labels:
    """Labels that are numbers, with classes from 0 to the largest.

    Raises:
        UsageError: integers do not count from 0; floats that do not are no labels.
    """
    largest = min(len(labels), MAX_CLASSES) - 1
    if labels.min() >= 0 and labels.max() <= largest:
        numbers = torch.from_numpy(labels.astype(np.int64))
        return Labels(numbers, tuple(map(str, range(int(numbers.max()) + 1))))
    if labels.dtype.kind == "f":
        return _unused(source, f"its labels are numbers beyond 0 to {largest:,}")
    raise UsageError(f"{source}: labels must count from 0, up to at most {largest:,}")


def _name(texts: np.ndarray, source: object) -> Labels:
    """Labels that are texts, with classes in the order of the alphabet.

    Raises:
        UsageError: there are too many classes.
    """
    known, places = np.unique(texts, return_inverse=True)
    if len(known) > MAX_CLASSES:
        raise UsageError(f"{source} has over {MAX_CLASSES:,} classes")
    names = [
        text.decode(errors="backslashreplace") if isinstance(text, bytes) else str(text)
        for text in known.tolist()
    ]
    return Labels(torch.from_numpy(places), tuple(name or NO_CLASS for name in names))


@final
class Arrays(Dataset):
    """The images or rows in an array file, in one part or in several.

    Args:
        path: ends in `.npy`, `.npz` or `.safetensors`.
        rules: the range of images; `data` measures it on the training set.
        version: of the rules, as in `open_dataset`.
        like: a spec whose range is used instead.
        test_fraction: the expected share of the items that is held out, by their contents, if the
            file has no part for testing.

    Raises:
        UsageError: the file is missing, damaged, or does not hold images or rows; its labels do not
            fit its items; or rows have a range.
    """

    path: Path

    def __init__(
        self,
        path: Path,
        *,
        rules: PictureRules = DEFAULT_PICTURES,
        version: int = 2,
        like: Spec | None = None,
        test_fraction: float,
    ) -> None:
        parts = read_array_file(path)
        self.items = _require_alike([channels_first(part.items, path) for part in parts], path)
        self.files = [
            part.file if items.data_ptr() == part.items.data_ptr() else None  # or else it is a copy
            for items, part in zip(self.items, parts, strict=True)
        ]
        counts = [len(items) for items in self.items]
        labels, classes = read_labels([labels_of(part) for part in parts], counts, path)
        self.known_factors, self.counts = read_factors(parts, path), counts
        self.has_factors = self.known_factors is not None
        self.labels = labels.split(counts) if len(labels) else (labels,) * len(parts)
        shape = tuple(self.items[0].shape[1:])
        columns = number_columns(*default_columns(shape[0])) if len(shape) == 1 else ()
        self.spec = Spec(path.stem, shape, classes=classes, columns=columns, cropped=True)
        if rules.value_range and not self.spec.is_image:
            raise UsageError(f"{mark('data.range')} is for images, and {path} holds vectors")
        self.path, self.test_fraction = path, test_fraction
        self.limits: Range = like.range if like else rules.value_range
        self.is_new = like is None and version > 1

    def read(self) -> Parts:
        """The file's own parts, or else those that a hash of each item's contents decides.

        Raises:
            UsageError: a value is out of range, or one of the parts would be empty.
        """
        found: list[Values] = []
        parts = [
            dataclasses.replace(
                InMemory.whole(items, labels),
                hashes=hash_keys(read_keys(items, found, file)),
                file=file,
            )
            for items, labels, file in zip(self.items, self.labels, self.files, strict=True)
        ]
        limits = self._choose_limits(join_values(found))
        if len(parts) == 1:
            (whole,) = parts
            assert whole.hashes is not None
            halves = divide(whole.hashes, self.test_fraction, self.spec.name)
            parts = [whole.take(rows) for rows in halves]
        if self.test_fraction:  # or else they are for a model that has learned already
            warn_of_copies(Parts(*parts))
        if limits == "data":
            limits = measure_limits(parts[0].items, parts[0].rows, self.path)
        if limits is not None:
            self.spec = dataclasses.replace(self.spec, range=limits)
            parts = self._scale(parts, limits)
        return Parts(*parts)

    def factors(self, split: InMemory) -> Factors | None:
        """What the file says about the factors of the items of a part, by their rows in it."""
        if self.known_factors is None:
            return None
        parts = [part for part in self.parts if isinstance(part, InMemory)]
        index = next(i for i, part in enumerate(parts) if part.items is split.items)
        start = sum(self.counts[:index])
        return self.known_factors.take(start + split.rows.cpu())

    def _choose_limits(self, values: Values) -> Range:
        """The range of the items, after their values were validated.

        Args:
            values: the smallest and the largest one of all items.

        Raises:
            UsageError: a value or the type of number is neither that of images nor that of rows.
        """
        if self.limits is not None:
            return self.limits
        if self.is_new and self.spec.is_image:
            return choose_limits(self.items, values, self.path)
        require_valid(self.items, values, self.path)
        return None

    def _scale(self, parts: Sequence[InMemory], limits: Limits) -> list[InMemory]:
        """The parts of images with their values scaled to [0, 1]."""
        scaled = [scale_images(items, limits, self.path, may_be_bytes=True) for items in self.items]
        scaled = scaled * len(parts) if len(scaled) == 1 else scaled
        pairs = zip(parts, scaled, strict=True)
        return [dataclasses.replace(part, items=one, file=None) for part, one in pairs]


def read_arrays(path: Path) -> Tensor:
    """All items in a file: `(N, C, H, W)` or `(N, D)`.

    Raises:
        UsageError: the file is missing, damaged, or does not hold images or rows.
    """
    parts = [channels_first(part.items, path) for part in read_array_file(path)]
    return parts[0] if len(parts) == 1 else torch.cat(_require_alike(parts, path))


def _require_alike(parts: list[Tensor], path: Path) -> list[Tensor]:
    """The same parts.

    Raises:
        UsageError: their items have different shapes or types of number.
    """
    shapes = ["x".join(map(str, items.shape[1:])) for items in parts]
    if len(set(shapes)) > 1:
        raise UsageError(f"{path} has parts with items of {' and of '.join(shapes)}")
    types = [type_name(items) for items in parts]
    if len(set(types)) > 1:
        raise UsageError(f"{path} has parts with numbers of {' and of '.join(types)}")
    return parts


def fit_to_spec(items: Tensor, spec: Spec) -> Tensor:
    """Bring items, or a single one, to the shape of a spec: `(N, C, H, W)` or `(N, D)`.

    Raises:
        UsageError: the type of number, the shape or the values are not those of the spec.
    """
    items = with_supported_type(items, "the array", is_image=spec.is_image)
    fitted = fit_shape(items, spec)
    can_miss = not spec.is_image and spec.table.missing == "model"
    known = torch.where(fitted.isnan(), 0.0, fitted) if can_miss else fitted
    try:
        require_valid_values(known, "the array")
    except OutsideRangeError as error:
        if spec.range is None:
            raise
        limits = format_limits(spec.range)
        raise UsageError(f"{error.message}: to_unit() scales values from {limits} to it") from error
    return fitted


def fit_shape(items: Tensor, spec: Spec) -> Tensor:
    """Bring items, or a single one, to the shape of a spec, whatever their values are.

    The channels of images may come last, or may be missing if there is only one.

    Raises:
        UsageError: their shape is not that of the spec, or there are none.
    """
    given = items.shape
    if not items.numel():
        raise UsageError("the array holds no items")
    if spec.is_image:
        channels, height, width = spec.shape
        if channels == 1 and items.shape[-2:] == (height, width):
            items = items.reshape(-1, 1, height, width) if items.ndim < 4 else items  # noqa: PLR2004
        elif items.shape[-3:] == (height, width, channels) and items.shape[-3:] != spec.shape:
            items = items.movedim(-1, -3)
    if items.shape == spec.shape:
        items = items[None]
    if items.shape[1:] != spec.shape:
        spec.require_shape(given, "the array")
    return items


def to_unit_images(items: Tensor, limits: Limits | None, source: object) -> Tensor:
    """Images of a file as a model takes them: float32 in [0, 1].

    Raises:
        UsageError: a type of number or a value is not that of the model's images.
    """
    if limits is not None:
        return scale_images(items, limits, source)
    items = with_supported_type(items, source, is_image=True)
    require_valid_values(items, source)
    return to_unit_interval(items)


def read_keys(items: Tensor, found: list[Values], file: MappedFile | None) -> Iterator[bytes]:
    """The bytes of each item; the smallest and largest values are appended, as in `read_chunks`."""
    return (row.tobytes() for some in read_chunks(items, found, file) for row in some)


def channels_first(items: Tensor, path: Path | str) -> Tensor:
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
    if items.ndim > 2 and items.dtype in SCALED_TYPES:  # noqa: PLR2004
        return ordered if items.dtype != torch.bfloat16 else widen(ordered, path)
    return with_supported_type(ordered, path, is_image=items.ndim > 2)  # noqa: PLR2004
