"""The arrays that the API takes and returns, and what a network takes and returns.

Images are float32 `(N, C, H, W)` with pixels in [0, 1]; rows of a table are `(N, D)` in the units
of the data. Input may also be uint8, a single item, or images with their channels last or without
channels. Rows may also be a data frame of pandas, polars or Arrow, or a mapping: columns are found
by their names. They are read as a file is: see `data.table_source`.
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
from vae_cli.data.dataset import Spec
from vae_cli.data.table import (
    FilledTable,
    complete_rows,
    is_frame,
    read_source_like,
    require_near,
)
from vae_cli.data.value_range import UNIT
from vae_cli.errors import UsageError
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


@final
class Converter:
    """The one way between a user's arrays and the tensors of a network.

    Args:
        spec: what the items are.
        codec: of the model.
        device: of the network.
    """

    def __init__(self, spec: Spec, codec: Codec, device: torch.device) -> None:
        self.spec, self.codec, self.device = spec, codec, device

    def encode(self, items: ArrayLike) -> Iterator[Batch]:
        """What the network takes for some items, on its device, a limited number at a time.

        Raises:
            UsageError: they are not numbers, or do not have the shape or the columns of its items.
        """
        fitted = fit_to_spec(self._to_tensor(items), self.spec)
        for some in fitted.split(chunk_length(self.spec.shape)):
            x = self.codec.encode(some)
            require_near(x, some, self.spec)
            yield Batch(x.to(self.device))

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

    def rows_with_holes(self, items: Any) -> Tensor:
        """Rows as float64 `(N, D)` with NaN where a value is missing, whatever the run does then.

        Raises:
            UsageError: as in `encode`, or the items are images.
        """
        if self.spec.is_image:
            raise UsageError("only rows of a table have missing values, and this model has images")
        if is_frame(items):
            from vae_cli.data.table_filling import TableCells
            from vae_cli.data.table_source import open_frame

            return TableCells(open_frame(items), self.spec).rows
        rules = dataclasses.replace(self.spec.table, missing="model")
        spec = dataclasses.replace(self.spec, table=rules)
        return fit_to_spec(to_tensor(items), spec).double()

    def _to_tensor(self, items: ArrayLike) -> Tensor:
        """Arrays as they are, and frames by the names of their columns, without missing values."""
        if self.spec.is_image:
            return to_tensor(items)
        complete = self._read_frame(items) if is_frame(items) else self._complete(to_tensor(items))
        for note in complete.notes:
            warnings.warn(note, stacklevel=2)
        return complete.rows

    def _complete(self, rows: Tensor) -> FilledTable:
        if rows.shape[-1:] != self.spec.shape:
            return FilledTable(rows, rows, ())  # an error says so
        return complete_rows(rows.reshape(-1, *self.spec.shape), self.spec, "the rows")

    def _read_frame(self, items: Any) -> FilledTable:
        from vae_cli.data.table_source import open_frame

        return read_source_like(open_frame(items), self.spec)
