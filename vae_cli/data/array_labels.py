"""The labels beside the items of an array: numbers, texts, a column of them, or one-hot rows."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.budget import MAX_CLASSES
from vae_cli.data.table_rows import NO_CLASS
from vae_cli.errors import UsageError

TEXT_KINDS = "US"  # of NumPy


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
