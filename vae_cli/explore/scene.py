"""What the page is told about a model: its dimensions, and where the test set lies in them."""

import base64
import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike

from vae_cli.colours import of_classes
from vae_cli.data import Spec, Split, gather
from vae_cli.explore.frames import frame
from vae_cli.latent import pca
from vae_cli.model import VAE

MOST = 5000  # test items on the map

Array = np.ndarray[Any, np.dtype[np.float32]]


class Space(Protocol):
    """What is explored: a model that encodes and decodes."""

    @property
    def model(self) -> VAE:
        """The network."""

    @property
    def spec(self) -> Spec:
        """What its items are."""

    def encode(self, items: ArrayLike) -> tuple[Array, Array]:
        """Mean and log-variance of items, `(N, D)` each."""

    def decode(self, z: ArrayLike) -> Array:
        """Items `(N, ...)` for latents `(N, D)`, or `(D,)` for one."""


@dataclass(frozen=True)
class Scene:
    """What the page shows besides the picture.

    Attributes:
        title: what is explored.
        spec: what the items are.
        dims: names of the dimensions.
        kl: of each dimension, `(D,)`; their order is by it.
        unit: of the KL.
        items: the numbers of some test items, `(M,)`.
        latents: their posterior means, `(M, D)`.
        labels: their classes, `(M,)`, or `(0,)`.
        axes: the two principal directions of the latents, `(2, D)`.
        center: the mean of the latents, `(D,)`.
        share: of the variance along each direction, `(2,)`.
        start: where the page begins, `(D,)`.
        item: the number of the test item that lies there, or -1.
        upload: what lies there if it is a person's, as bytes; empty where it is not.
    """

    title: str
    spec: Spec
    dims: tuple[str, ...]
    kl: Array
    unit: str
    items: Array
    latents: Array
    labels: Array
    axes: Array
    center: Array
    share: Array
    start: Array
    item: int
    upload: bytes

    def facts(self) -> dict[str, Any]:
        """The same as JSON can hold it; numbers as little-endian float32 in base64."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        spec: Spec = values.pop("spec")
        values["upload"] = base64.b64encode(self.upload).decode()
        return {
            "data": spec.name,
            "shape": spec.shape,
            "classes": spec.classes,
            "colours": of_classes(max(1, len(spec.classes))),
            "columns": spec.columns,
            **{
                name: _base64(value) if isinstance(value, np.ndarray) else value
                for name, value in values.items()
            },
        }

    def fewer(self, count: int) -> "Scene":
        """With `count` of the test items, spread over all of them."""
        some = spread(len(self.items), count)
        labels = self.labels[some] if len(self.labels) else self.labels
        return dataclasses.replace(
            self, items=self.items[some], latents=self.latents[some], labels=labels
        )


def survey(
    space: Space,
    title: str,
    kl: ArrayLike,
    split: Split | None,
    begin: ArrayLike | None = None,
) -> Scene:
    """Look at a model's latent space.

    Args:
        space: the model.
        title: what the page calls it.
        kl: of each dimension, in nats, `(D,)`.
        split: the test set; None if it is not there, and then there is no map.
        begin: the item to start from, `(1, ...)`; None is the first test item, or the origin.
    """
    depth = space.model.latent_dim
    latents, labels = np.zeros((0, depth), np.float32), np.zeros(0, np.float32)
    items = spread(0 if split is None else len(split), MOST)
    axes = np.eye(2, depth, dtype=np.float32)
    center, share = np.zeros(depth, np.float32), np.zeros(2, np.float32)
    if split is not None:
        latents = space.encode(gather(split.items, split.rows[items]))[0]
        labels = _floats(split.labels[items] if len(split.labels) else split.labels)
        if len(latents) > 2 <= depth:  # noqa: PLR2004  what a plane needs
            _, axes, center, share = (part.numpy() for part in pca(torch.from_numpy(latents)))
    if begin is not None:
        start, item, upload = space.encode(begin)[0][0], -1, frame(begin, space.spec)
    else:
        start, item, upload = (latents[0], 0, b"") if len(latents) else (center, -1, b"")
    return Scene(
        title,
        space.spec,
        tuple(f"z{number}" for number in range(depth)),
        _floats(kl),
        "nats",
        _floats(items),
        latents,
        labels,
        _floats(axes),
        _floats(center),
        _floats(share),
        _floats(start),
        item,
        upload,
    )


def spread(count: int, most: int) -> np.ndarray:
    """Whole numbers below `count`, all of them or `most` at equal distances."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def _floats(values: ArrayLike) -> Array:
    return np.asarray(values, np.float32)


def _base64(values: Array) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
