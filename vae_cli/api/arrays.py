"""The arrays that the API takes and returns, and what a network takes and returns.

Images are float32 `(N, C, H, W)` with pixels in [0, 1]; rows of a table are `(N, D)` in the units
of the data. Input may also be uint8, a single item, or images with their channels last or without
channels. Rows may also be a data frame of pandas, polars or Arrow, or a mapping: columns are found
by their names. They are read as a file is: see `data.table_source`.

A model of p(x|y) is given the conditions of items as `y`: see `data.condition_values`. If its items
are rows of a table, whole rows have their conditions in the columns after those that are learned,
and frames have them in the columns of these names. What it returns are such whole rows, or frames
in the order of the file.
"""

import dataclasses
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.array_files import to_native
from vae_cli.data.arrays import fit_shape, fit_to_spec, to_unit_images
from vae_cli.data.batch import Batch
from vae_cli.data.batches import chunk_length
from vae_cli.data.condition_values import condition_rows
from vae_cli.data.conditioning import is_whole, learned_spec
from vae_cli.data.dataset import Spec
from vae_cli.data.table import (
    FilledTable,
    complete_rows,
    is_frame,
    read_source_like,
    require_near,
)
from vae_cli.data.value_range import UNIT
from vae_cli.errors import UsageError, mark
from vae_cli.model import Condition
from vae_cli.model.codec import Codec

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


class ReadItems(NamedTuple):
    """Items as they were given, and their conditions.

    Attributes:
        items: `(N, ...)`, in the shape of the model.
        condition: float64 `(N, C)`, with NaN for what is not known; None if nothing is.
    """

    items: Tensor
    condition: Tensor | None


class _ReadRows(NamedTuple):
    """Rows of a table as they were given, without those that are left out.

    Attributes:
        rows: what is learned of them.
        condition: that whole rows have; None if they have none.
        numbers: the place of each among those that were given.
        given: how many these are.
    """

    rows: Tensor
    condition: Tensor | None
    numbers: Tensor
    given: int


@final
class Converter:
    """The one way between a user's arrays and the tensors of a network.

    Args:
        spec: what the items are.
        codec: of the model.
        device: of the network.
        condition: what the model is conditioned on; None if it is not.
    """

    def __init__(
        self, spec: Spec, codec: Codec, device: torch.device, condition: Condition | None = None
    ) -> None:
        self.spec, self.codec, self.device, self.condition = spec, codec, device, condition

    def encode(self, items: ArrayLike, y: Any = None) -> Iterator[Batch]:
        """What the network takes for some items, on its device, a limited number at a time.

        Raises:
            UsageError: they are not numbers, or do not have the shape or the columns of its items,
                or y does not say the conditions of these items.
        """
        return self.batches(self.read(items, y))

    def read(self, items: ArrayLike, y: Any = None) -> ReadItems:
        """Items in the shape of the model with their conditions: of y, or else of their own rows.

        Raises:
            UsageError: as in `encode`.
        """
        if self.spec.is_image:
            images = fit_to_spec(to_tensor(items), self.spec)
            return ReadItems(images, self.read_condition(y, len(images)))
        found = self._read_rows(items, has_y=y is not None)
        fitted = fit_to_spec(found.rows, self.spec)
        told = self.read_condition(y, found.given)
        return ReadItems(fitted, found.condition if told is None else told[found.numbers])

    def batches(self, read: ReadItems) -> Iterator[Batch]:
        """What the network takes for what was read."""
        told = self.encode_condition(read.condition)
        size = chunk_length(self.spec.shape)
        for start in range(0, len(read.items), size):
            some = slice(start, start + size)
            x = self.codec.encode(read.items[some])
            require_near(x, read.items[some], self.spec)
            yield Batch(x.to(self.device), None if told is None else told[some])

    def read_condition(self, y: Any, count: int) -> Tensor | None:
        """What y says about so many items: float64 `(count, C)`; None if it is None.

        Raises:
            UsageError: it is not what the model is told, or the model is told nothing.
        """
        if y is None:
            return None
        if not self.spec.condition:
            raise UsageError(
                f"y: this model is told nothing about its items; train one with "
                f"{mark('data.condition')}"
            )
        return condition_rows(self.spec.condition, y, count)

    def encode_condition(self, rows: Tensor | None) -> Tensor | None:
        """Conditions as the network takes them, on its device: `(N, W)`; None if there are none."""
        if rows is None or self.condition is None:
            return None
        return self.condition.encode(rows).to(self.device)

    def join(self, items: Array, condition: Tensor | None) -> Array:
        """Whole rows of a table: those that are learned `(N, D)`, and their conditions."""
        if self.spec.is_image or not self.spec.condition:
            return items
        count = len(self.spec.condition)
        unknown = torch.full((len(items), count), torch.nan, dtype=torch.float64)
        known = unknown if condition is None else condition.cpu()
        return np.concatenate([items, known.numpy()], 1)

    def decode(self, outputs: Iterable[Tensor]) -> Array:
        """Outputs of the network in the units of the data: images float32, rows float64."""
        return to_array(*map(self.codec.decode, outputs))

    def to_unit(self, values: ArrayLike) -> Array:
        """Images with the values of the data as images in [0, 1].

        Raises:
            UsageError: the items are rows, or the type of number, the shape or a value is not that
                of the images.
        """
        if not self.spec.is_image:
            raise UsageError("rows of a table are in the units of the table already")
        images = fit_shape(to_tensor(values), self.spec)
        return to_array(to_unit_images(images, self.spec.range, "the array"))

    def from_unit(self, images: ArrayLike) -> Array:
        """Images in [0, 1] as images with the values of the data, float32."""
        low, high = self.spec.range or UNIT
        values: Array = low + (high - low) * np.asarray(images, np.float32)
        return values

    def rows_with_holes(self, items: Any, y: Any = None) -> ReadItems:
        """Rows as float64 `(N, D)` with NaN where a value is missing, whatever the run does then.

        Raises:
            UsageError: as in `encode`, or the items are images.
        """
        if self.spec.is_image:
            raise UsageError("only rows of a table have missing values, and this model has images")
        if is_frame(items):
            from vae_cli.data.table_filling import TableCells
            from vae_cli.data.table_source import open_frame

            spec = self.spec if y is None else learned_spec(self.spec)
            cells = TableCells(open_frame(items), spec)
            rows, own = cells.rows, cells.condition
        else:
            rules = dataclasses.replace(self.spec.table, missing="model")
            spec = dataclasses.replace(self.spec, table=rules)
            known, own = self._split(to_tensor(items))
            rows = fit_to_spec(known, spec).double()
        return ReadItems(rows, own if y is None else self.read_condition(y, len(rows)))

    def _read_rows(self, items: ArrayLike, *, has_y: bool) -> "_ReadRows":
        """Arrays as they are, and frames by the names of their columns, without missing values."""
        if is_frame(items):
            complete, given = self._read_frame(items, has_y=has_y)
            rows, own = self._split(complete.rows)
        else:
            rows, own = self._split(to_tensor(items))
            given = len(rows) if rows.ndim > 1 else 1
            complete = self._complete(rows)
            rows = complete.rows
            own = own if own is None or len(own) == len(rows) else own[complete.numbers]
        for note in complete.notes:
            warnings.warn(note, stacklevel=2)
        return _ReadRows(rows, own, complete.numbers, given)

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """What is learned of rows, and their conditions if these are whole rows."""
        learned, told = len(self.spec.columns), len(self.spec.condition)
        if not rows.ndim or not is_whole(self.spec, rows.shape[-1]):
            return rows, None
        whole = rows.reshape(-1, learned + told)
        own = whole[:, learned:].double()
        return whole[:, :learned], condition_rows(self.spec.condition, own, len(own))

    def _complete(self, rows: Tensor) -> FilledTable:
        if rows.shape[-1:] != self.spec.shape:
            return FilledTable(rows, rows, ())  # an error says so
        return complete_rows(rows.reshape(-1, *self.spec.shape), self.spec, "the rows")

    def _read_frame(self, items: Any, *, has_y: bool) -> tuple[FilledTable, int]:
        """The whole rows of a frame, or what is learned of them if y says the rest; and its length.

        Rows without some values may be left out of them.
        """
        from vae_cli.data.table_source import open_frame

        spec, source = learned_spec(self.spec) if has_y else self.spec, open_frame(items)
        return read_source_like(source, spec), len(source.table)
