"""An item as the bytes that the page shows.

An image is uint8 `(H, W, C)`, rounded as in a PNG. A row of a table is little-endian float64: a
value per number, integer and date column, in the units of the data, and then the probabilities of
the texts of each category column, both in the order of the table. Constants are in the facts.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike

from vae_cli.api.arrays import to_latents
from vae_cli.api.model import TrainedModel
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.rendering.grid import to_pixels

Array = np.ndarray


def item_to_bytes(spec: Spec, item: ArrayLike) -> bytes:
    """An item of a data set: an image `(C, H, W)` in [0, 1], or a row `(D,)`.

    A category has the probability 1. A missing value is NaN, and has no category.
    """
    values = np.asarray(item).reshape(spec.shape)
    if spec.is_image:
        return to_pixels(values).tobytes()
    shares = [
        np.arange(len(column.categories)) == value
        for column, value in zip(spec.columns, values, strict=True)
        if column.kind == "category"
    ]
    return _join(spec.columns, values, np.concatenate([np.zeros(0), *shares]))


def decode_to_bytes(model: TrainedModel, position: Array) -> bytes:
    """The mean of p(x|z, y), with the probabilities of all categories.

    Args:
        model: the model.
        position: what the page sends, `(D + C,)`: a latent, and then what the model is told, as
            the data have it; NaN is not known.

    Raises:
        UsageError: the model cannot be told this.
    """
    z, y = split_position(model, position)
    item = model.decode(z, y)[0]
    if model.spec.is_image:
        return item_to_bytes(model.spec, item)
    return _join(model.spec.columns, item, decode_shares(model, z, y))


def split_position(model: TrainedModel, position: Array) -> tuple[Array, Array | None]:
    """The latent `(D,)` and the condition `(1, C)` of a position; None if there is none."""
    z, told = np.split(np.array(position), [model.model.latent_dim])
    return z, told[None] if len(told) else None


@torch.no_grad()
def decode_shares(model: TrainedModel, z: ArrayLike, y: ArrayLike | None = None) -> Array:
    """The probabilities of the texts of all categories at a latent `(D,)` with its condition."""
    latent = to_latents(z, model.model.latent_dim).to(model.model.device)
    mean = model.model.decode(latent, model.condition(y, 1)).mean[0]
    columns = model.spec.columns
    sizes = [len(column.categories) for column in columns if column.kind == "category"]
    start = sum(column.is_measured for column in columns)
    return np.asarray(mean[start : start + sum(sizes)].cpu(), np.float64)


def _join(columns: tuple[Column, ...], row: Array, shares: Array) -> bytes:
    is_measured = [column.is_measured for column in columns]
    return np.concatenate([row[is_measured], shares]).astype("<f8").tobytes()
