"""The arrays that the API takes and returns.

Data frames as rows of a table: pandas, polars and Arrow, and mappings, by the names of columns.

None of these libraries is imported. What they have in common is enough: the names of the columns,
and each column by its name as something that NumPy takes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.array_files import to_native
from vae_cli.data.dataset import Spec
from vae_cli.data.table_columns import (
    Layout,
    choose_for_model,
    default_columns,
    is_index,
    require_distinct,
)
from vae_cli.errors import UsageError, shorten

Array = np.ndarray[Any, np.dtype[Any]]


class Posterior(NamedTuple):
    """q(z|x) of some items.

    Attributes:
        mean: `(N, D)`.
        log_variance: `(N, D)`, the logarithm of the variance.
    """

    mean: Array
    log_variance: Array


def to_tensor(items: ArrayLike) -> Tensor:
    """A tensor of numbers; tensors are returned as they are, and arrays share their memory.

    Which types of number a model takes is decided by `data.array_files.with_supported_type`.

    Raises:
        UsageError: they are not numbers.
    """
    if isinstance(items, Tensor):
        return items
    array = np.asarray(items)
    if array.dtype.kind not in "buif":
        raise UsageError(f"items are arrays of numbers, not {type(items).__name__}")
    return to_native(array, "the array")


def to_latents(z: ArrayLike, dims: int) -> Tensor:
    """Latents `(N, D)`, or one `(D,)`, as float32 `(N, D)`.

    Raises:
        UsageError: they have another shape.
    """
    latents = torch.tensor(np.asarray(z, np.float32))
    if latents.shape[-1:] != (dims,) or latents.ndim > 2:  # noqa: PLR2004
        shape = "x".join(map(str, latents.shape))
        raise UsageError(f"latents of {shape}: this model has {dims} dimensions")
    return latents.reshape(-1, dims)


def to_array(*parts: Tensor) -> Array:
    """The parts joined along their first axis, as one array."""
    joined: Array = torch.cat(parts).cpu().numpy()
    return joined


SOURCE = "the frame"
NUMBER_KINDS, OBJECT_KIND = "uif", "O"  # of NumPy's types


def frame_names(items: Any) -> list[str | int] | None:
    """The names of the columns of a frame, or of the values of one row; None if it is an array.

    Arrow calls them `column_names`, frames of pandas and polars `columns`, and mappings and one row
    of pandas `keys()`.
    """
    if isinstance(items, np.ndarray | Tensor | list | tuple):
        return None
    names: Iterable[Any] | None = getattr(items, "column_names", getattr(items, "columns", None))
    if names is None and hasattr(items, "keys"):
        names = items.keys()
    if names is None:
        return None
    known = list(names)
    return known if all(isinstance(name, int) for name in known) else [str(name) for name in known]


def read_frame(items: Any, names: list[str | int], spec: Spec) -> Tensor:
    """The rows of a frame in the order of the model's columns: float64 `(N, D)`, or one `(D,)`.

    Numbers instead of names, as pandas gives to an array, are no names: the order decides.

    Raises:
        UsageError: the columns are not those of the model, or one of them does not hold numbers.
    """
    titles = [name for name in names if isinstance(name, str)] or default_columns(len(names))
    require_distinct(titles, SOURCE)
    index = titles[0] if len(titles) > 1 and is_index(titles[0]) else ""
    places = choose_for_model(spec, Layout(tuple(titles), index), SOURCE).columns
    try:
        columns = [_to_numbers(items[names[place]], names[place]) for place in places]
    except TypeError as error:  # a lazy frame of polars has names, but no columns yet
        raise UsageError(f"{type(items).__name__} gives no column by its name") from error
    if len({column.shape for column in columns}) > 1:
        raise UsageError(f"{SOURCE} has columns of different lengths")
    return torch.from_numpy(np.stack(columns, -1))


def _to_numbers(column: Any, name: str | int) -> Array:
    """A column as float64 `(N,)`, or one value; NaN if a value is missing.

    Raises:
        UsageError: it does not hold numbers.
    """
    array = np.asarray(column)
    wrong = UsageError(f"{SOURCE}: column {shorten(str(name))} holds {array.dtype}, not numbers")
    if array.dtype.kind == OBJECT_KIND and any(isinstance(value, str) for value in array.flat):
        raise wrong
    if array.dtype.kind not in NUMBER_KINDS + OBJECT_KIND:
        raise wrong
    try:
        return np.asarray(column, np.float64)
    except (TypeError, ValueError) as error:
        raise wrong from error
