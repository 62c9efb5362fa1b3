"""The known factors of the items of an array file, such as the size and the place of a shape.

They are one column for each factor: numbers or texts, of which each value that occurs is a level.
The layouts of two public data sets are known by the names of their arrays, and so are the names of
their factors:

    dSprites     `imgs`, and `latents_values` or `latents_classes` (N, 6)
                 Matthey, Higgins, Hassabis & Lerchner (2017)
    3D Shapes    `images` (N, 64, 64, 3), and `labels` (N, 6)
                 Burgess & Kim (2018)

Figures of disentanglement count how often a level and a latent go together. A factor that has
another value for nearly every item is therefore divided into bins of equal width, as Locatello et
al. (2019) do with latents.
"""

import itertools
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from vae_cli.data.array_files import ArrayPart
from vae_cli.data.dataset import Factors
from vae_cli.errors import UsageError, VAEWarning, plural

MAX_LEVELS = 1000  # of a factor
MAX_FACTORS = 1000
BINS = 20
DSPRITES = ("color", "shape", "scale", "orientation", "posX", "posY")
SHAPES_3D = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
SHAPE_OF_3D = (64, 64, 3)


def read_factors(parts: Sequence[ArrayPart], source: object) -> Factors | None:
    """The factors of all items of all parts, one part after another; None if there are none.

    Args:
        parts: of a data set.
        source: where they come from, for messages.

    Raises:
        UsageError: there are more or fewer than items, one is not known, or their names do not fit.
    """
    tables = [_as_table(part) for part in parts]
    found = [table for table in tables if table is not None]
    if len(found) < len(parts):
        if found:
            text = f"{source}: only some of its parts have factors, so there are none"
            warnings.warn(VAEWarning(text), stacklevel=2)
        return None
    for part, table in zip(parts, found, strict=True):
        _require_fit(table, len(part.items), found[0].shape[1], source)
    names = _choose_names(parts[0], found[0].shape[1], source)
    columns = [np.concatenate([table[:, j] for table in found]) for j in range(len(names))]
    levels = [
        _to_levels(column, f"{source}: factor {name}")
        for name, column in zip(names, columns, strict=True)
    ]
    values = np.stack([one.places for one in levels], 1)
    return Factors(names, torch.from_numpy(values), tuple(one.texts for one in levels))


def labels_of(part: ArrayPart) -> "np.ndarray[Any, Any] | None":
    """The labels of a part, if they are not its factors."""
    return None if part.labels is not None and _as_table(part) is part.labels else part.labels


def _as_table(part: ArrayPart) -> "np.ndarray[Any, Any] | None":
    """The factors `(N, F)`: those that are called so, or labels of several columns."""
    if part.factors is not None:
        return part.factors[:, None] if part.factors.ndim == 1 else part.factors
    labels = part.labels
    return labels if labels is not None and _are_factors(labels, len(part.items)) else None


def _are_factors(labels: "np.ndarray[Any, Any]", items: int) -> bool:
    """Whether labels are columns of which each has a few values, and are no one-hot rows."""
    is_table = labels.ndim == 2 and len(labels) == items and labels.dtype.kind in "buif"  # noqa: PLR2004
    if not (is_table and 1 < labels.shape[1] <= MAX_FACTORS):
        return False
    is_one_hot = bool(((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all())
    is_known = labels.dtype.kind != "f" or bool(np.isfinite(labels).all())
    return is_known and not is_one_hot and all(map(_repeats, labels.T))


def _repeats(column: "np.ndarray[Any, Any]") -> bool:
    """Whether most values occur several times, so that they are levels and no measurements."""
    count = len(np.unique(column))
    return count <= MAX_LEVELS and 2 * count <= len(column)


def _require_fit(table: "np.ndarray[Any, Any]", items: int, count: int, source: object) -> None:
    """Check that there is a row of numbers or texts for each item.

    Raises:
        UsageError: there is not.
    """
    is_table = table.ndim == 2 and table.dtype.kind in "buifUS"  # noqa: PLR2004
    if not is_table or not 1 <= table.shape[1] <= MAX_FACTORS:
        shape = "x".join(map(str, table.shape))
        raise UsageError(
            f"{source}: its array of factors is {shape} of {table.dtype}, and not a number or text "
            f"for each of 1 to {MAX_FACTORS:,} factors of an item"
        )
    if table.shape != (items, count):
        raise UsageError(
            f"{source} holds {count} factors of {plural(items, 'item')}, but an array of "
            f"{' x '.join(map(str, table.shape))} for them: each item needs one row"
        )


def _choose_names(part: ArrayPart, count: int, source: object) -> tuple[str, ...]:
    """The names that the file says, those of a public data set, or else numbers.

    Raises:
        UsageError: the file says more or fewer names than there are factors, or one twice.
    """
    if names := part.factor_names:
        if len(names) != count or len(set(names)) < count or not all(names):
            raise UsageError(
                f"{source}: its {plural(len(names), 'name')} of factors, {', '.join(names)}, must "
                f"be one for each of {plural(count, 'factor')}, each another"
            )
        return names
    if "latents" in part.factors_from and count == len(DSPRITES):
        return DSPRITES
    has_shape = tuple(part.items.shape[1:]) == SHAPE_OF_3D
    if part.factors is None and has_shape and count == len(SHAPES_3D):
        return SHAPES_3D
    return tuple(f"factor {number}" for number in range(1, count + 1))


class _Levels(NamedTuple):
    """One factor.

    Attributes:
        places: int64 `(N,)`, the index of the level of each item.
        texts: of the levels.
    """

    places: "np.ndarray[Any, Any]"
    texts: tuple[str, ...]


def _to_levels(column: "np.ndarray[Any, Any]", source: str) -> _Levels:
    """The values of a factor as levels in their order, or in bins if there are too many.

    Raises:
        UsageError: a value is no finite number, or there are too many texts.
    """
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        row = int(np.flatnonzero(~np.isfinite(column))[0])
        raise UsageError(f"{source} is {column[row]} in row {row}: every item needs a value")
    known, places = np.unique(column, return_inverse=True)
    if _repeats(column) or (column.dtype.kind != "f" and len(known) <= MAX_LEVELS):
        return _Levels(places.astype(np.int64), tuple(map(_show, known)))
    if column.dtype.kind in "US":
        raise UsageError(f"{source} has over {MAX_LEVELS:,} texts: a factor has a few values")
    text = f"{source} has {len(known):,} values, which are put into {BINS} bins"
    warnings.warn(VAEWarning(text), stacklevel=4)
    edges = np.linspace(float(column.min()), float(column.max()), BINS + 1)
    places = np.searchsorted(edges[1:-1], column, side="right")
    texts = tuple(f"{low:.4g}..{high:.4g}" for low, high in itertools.pairwise(edges))
    return _Levels(places.astype(np.int64), texts)


def _show(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
