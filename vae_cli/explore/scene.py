"""What the page shows: facts about a model, and the document that contains them and loads nothing.

A `Scene` has the dimensions of the latent space and the latents of test items. `make_document` puts
its facts, the style and the scripts into one HTML text.
"""

import base64
import dataclasses
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from vae_cli.api.model import TrainedModel
from vae_cli.data.columns import Column
from vae_cli.data.dataset import NamedSplit, Spec
from vae_cli.explore.content import item_to_bytes
from vae_cli.files import to_json, to_utf8
from vae_cli.latent.projections import drawable, pca
from vae_cli.model import StandardNormal
from vae_cli.rendering.plots import class_colours
from vae_cli.training import ACTIVE_THRESHOLD

PAGE = ("markup.js", "numbers.js", "state.js", "map.js", "rows.js", "menus.js", "page.js")
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<script type="application/json" id="facts">{facts}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def read_static(*names: str) -> str:
    """The text of some files in `static/`, joined."""
    folder = files(__package__) / "static"
    return "\n".join(folder.joinpath(name).read_text("utf-8") for name in names)


def make_document(title: str, facts: dict[str, Any], link: str) -> str:
    """The page.

    Args:
        title: of the window.
        facts: the JSON in the element `facts`, which the script reads.
        link: the script from which the page gets items.
    """
    style, script = read_static("page.css"), read_static(*PAGE, link)
    allowed = {
        "default-src": "'none'",
        "script-src": _digest(script),
        "style-src": _digest(style),
        "img-src": "data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return TEMPLATE.format(
        policy="; ".join(f"{what} {where}" for what, where in allowed.items()),
        title=html.escape(to_utf8(title)),
        style=style,
        facts=to_json(facts).replace("<", "\\u003c"),
        script=script,
    )


def _digest(text: str) -> str:
    """The name of an inline script or style in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


MAX_ITEMS = 5000  # test items on the map
PRIOR_SAMPLES = 500  # from a learned prior, which a page cannot compute

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the page shows in addition to the decoded item.

    Attributes:
        title: of the page.
        spec: what the items are.
        dims: names of the dimensions.
        kl: of each dimension, `(D,)`; the sliders are sorted by it. NaN if it is not known.
        unit: of the KL.
        items: the numbers of some test items, `(M,)`.
        latents: the modes of their posteriors, `(M, D)`.
        labels: their classes, `(M,)`, or `(0,)`.
        axes: the two principal directions of the latents, `(2, D)`.
        center: the mean of the latents, `(D,)`.
        explained_variance_ratio: the share of the variance along each direction, `(2,)`.
        start: the latent at which the page starts, `(D,)`.
        item: the number of the test item with that latent, or -1.
        upload: the user's picture or row with that latent, as bytes; empty if there is none.
        samples: latents from the prior, `(N, D)`; none if the prior is N(0, I), from which the page
            takes its own.
        conditions: what the model is told of the items on the map, `(M, C)`, with NaN for what is
            not known.
        told: what it is told at the start, `(C,)`.
        sample_conditions: what it is told of the samples, `(N, C)`.
        ranges: the smallest and the largest value of each column of a condition, `(C, 2)`; NaN if
            it is not measured.
        may_be_unknown: whether the model has learned what a condition that is not known means.
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
    explained_variance_ratio: Array
    start: Array
    item: int
    upload: bytes
    samples: Array
    conditions: Array
    told: Array
    sample_conditions: Array
    ranges: Array
    may_be_unknown: bool

    def facts(self) -> dict[str, Any]:
        """The same as JSON values; arrays are little-endian float32 in base64."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        spec: Spec = values.pop("spec")
        values["upload"] = base64.b64encode(self.upload).decode()
        return {
            "data": spec.name,
            "shape": spec.shape,
            "classes": spec.classes,
            "colours": class_colours(max(1, len(spec.classes))),
            "columns": [list_column(column) for column in spec.columns],
            "condition": [list_column(column) for column in spec.condition],
            "decimal": spec.table.decimal,
            "active_threshold": ACTIVE_THRESHOLD,
            **{
                name: to_base64(value) if isinstance(value, np.ndarray) else value
                for name, value in values.items()
            },
        }

    def with_fewer_items(self, count: int) -> "Scene":
        """The same with at most `count` test items, evenly spaced."""
        some = evenly_spaced(len(self.items), count)
        labels = self.labels[some] if len(self.labels) else self.labels
        return dataclasses.replace(
            self,
            items=self.items[some],
            latents=self.latents[some],
            labels=labels,
            conditions=self.conditions[some],
        )

    def without_condition(self) -> "Scene":
        """The same without a menu of conditions."""
        return dataclasses.replace(
            self,
            spec=dataclasses.replace(self.spec, condition=()),
            conditions=self.conditions[:, :0],
            told=self.told[:0],
            sample_conditions=self.sample_conditions[:, :0],
            ranges=self.ranges[:0],
        )


def build_scene(
    model: TrainedModel, test: NamedSplit | None, first_item: ArrayLike | None = None
) -> Scene:
    """Encode test items, and collect the facts about a model.

    Args:
        model: the model.
        test: the test set; None if it is not available, and then there is no map.
        first_item: the item to start from, `(1, ...)`; None means the first test item, or the
            origin if there are none.
    """
    latent_dim = model.model.latent_dim
    items, latents, labels, conditions = encode_some(model, test)
    axes, center, ratio = fit_plane(latents)
    start, item, upload = (latents[0], 0, b"") if len(latents) else (center, -1, b"")
    if first_item is not None:
        start, item = model.latents(first_item)[0], -1
        upload = item_to_bytes(model.spec, first_item)
    classes = model.spec.classes if test is None else test.spec.classes
    is_normal = isinstance(model.model.prior, StandardNormal)
    known, may_be_unknown = known_conditions(model)
    usual = np.full(known.shape[1:], np.nan) if may_be_unknown else known[0]
    sample_conditions = known[: 0 if is_normal else PRIOR_SAMPLES]
    return Scene(
        title=model.name,
        spec=dataclasses.replace(model.spec, classes=classes),
        dims=tuple(f"z{number}" for number in range(latent_dim)),
        kl=_float32(np.full(latent_dim, np.nan) if model.kl_by_dim is None else model.kl_by_dim),
        unit="nats",
        items=_float32(items),
        latents=latents,
        labels=_float32(labels),
        axes=_float32(axes),
        center=_float32(center),
        explained_variance_ratio=_float32(ratio),
        start=_float32(start),
        item=item,
        upload=upload,
        samples=_float32(
            model.sample_latents(
                0 if is_normal else PRIOR_SAMPLES,
                sample_conditions if known.shape[1] else None,
                seed=0,
            )
        ),
        conditions=_float32(conditions),
        told=_float32(conditions[item] if item >= 0 else usual),
        sample_conditions=_float32(sample_conditions),
        ranges=_float32(find_ranges(model.spec.condition, known)),
        may_be_unknown=may_be_unknown,
    )


def known_conditions(model: TrainedModel) -> tuple[np.ndarray, bool]:
    """Conditions of training items `(N, C)`, and whether one that is not known has a meaning.

    Without a condition, they are rows of no numbers.
    """
    condition = model.model.condition
    if condition is None:
        return np.zeros((PRIOR_SAMPLES, 0)), True
    known = condition.known.rows
    known = known[known.isnan().all(1).argsort(stable=True)]  # what is known goes first
    return known.numpy(), condition.dropout > 0


def find_ranges(columns: Sequence[Column], known: np.ndarray) -> np.ndarray:
    """The smallest and the largest value of each measured column: `(C, 2)`; NaN of the others."""
    ranges = np.full((len(columns), 2), np.nan)
    for place, (column, values) in enumerate(zip(columns, known.T, strict=True)):
        if column.is_measured and not np.isnan(values).all():
            ranges[place] = np.nanmin(values), np.nanmax(values)
    return ranges


def list_column(column: Column) -> dict[str, Any]:
    """What the page needs to write the values of a column."""
    return {
        "name": column.name,
        "kind": column.kind,
        "categories": column.categories,
        "format": dataclasses.asdict(column.format),
    }


def encode_some(
    model: TrainedModel, test: NamedSplit | None
) -> tuple[np.ndarray, Array, ArrayLike, np.ndarray]:
    """What the map shows of test items.

    Returns:
        Their numbers `(M,)`, latents `(M, D)`, classes `(M,)`, and what the model is told of them,
        `(M, C)`.
    """
    told = len(model.spec.condition)
    if test is None:
        latents = np.zeros((0, model.model.latent_dim), np.float32)
        return np.zeros(0), latents, np.zeros(0), np.zeros((0, told))
    split, places = test.split, evenly_spaced(len(test), MAX_ITEMS)
    known = split.take(torch.from_numpy(places)).condition
    conditions = np.zeros((len(places), 0)) if known is None else known.numpy()
    y = conditions if told else None
    latents = model.latents(split.items_at(places.tolist()), y)
    shown = drawable(latents)
    places, latents, conditions = places[shown], latents[shown], conditions[shown]
    labels = split.labels[places] if len(split.labels) else split.labels
    return places, latents, labels, conditions


def fit_plane(latents: Array) -> tuple[Array, Array, Array]:
    """The plane of the two principal directions of latents `(M, D)`.

    Returns:
        The directions `(2, D)`, the mean `(D,)`, and each direction's share of the variance `(2,)`;
        the first two dimensions and zeros if there are too few latents or dimensions.
    """
    count, dims = latents.shape
    if not count > 2 <= dims:  # noqa: PLR2004  what a plane needs
        return (
            np.eye(2, dims, dtype=np.float32),
            np.zeros(dims, np.float32),
            np.zeros(2, np.float32),
        )
    plane = pca(torch.from_numpy(latents))
    return plane.axes.numpy(), plane.mean.numpy(), plane.explained_variance_ratio.numpy()


def evenly_spaced(count: int, limit: int) -> np.ndarray:
    """All whole numbers below `count`, or `limit` of them at equal distances."""
    return np.arange(count) if count <= limit else np.arange(limit) * count // limit


def _float32(values: ArrayLike) -> Array:
    return np.asarray(values, np.float32)


def to_base64(values: np.ndarray) -> str:
    """Numbers as little-endian float32 in base64."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
