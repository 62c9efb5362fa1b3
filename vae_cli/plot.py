"""A map of a latent space: its points in two dimensions, a colour a class."""

import importlib
import io
import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

from vae_cli.colours import DISTINCT
from vae_cli.errors import UsageError
from vae_cli.latent import pca

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Method = Literal["pca", "umap", "tsne"]

MOST = 5000  # points that t-SNE places in reasonable time
FEWEST = 10  # points of which neighbours mean something
LIBRARIES = {"umap": ("umap", "umap-learn"), "tsne": ("sklearn.manifold", "scikit-learn")}
TITLES = {"umap": "UMAP", "tsne": "t-SNE"}
GREY = 0.75  # of the classes that have no colour of their own
LONGEST_NAME = 28  # characters of a class in the legend
DPI = 160

Array = np.ndarray[Any, np.dtype[Any]]


class Map(NamedTuple):
    """Points in two dimensions.

    Attributes:
        coordinates: `(M, 2)`.
        rows: int64 `(M,)`, which of the points they are.
        axes: what the two axes are.
    """

    coordinates: Array
    rows: Array
    axes: tuple[str, str]


def check(method: Method) -> None:
    """Refuse early a method whose library is not installed.

    Raises:
        UsageError: it is not.
    """
    if method in LIBRARIES:
        module, package = LIBRARIES[method]
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UsageError(f"--method {method}: pip install {package}, or use pca") from error


def flatten(points: Array, method: Method = "pca") -> Map:
    """Place points `(N, D)` in two dimensions; the same points always in the same places.

    PCA (Pearson, 1901) keeps distances as well as a plane can; t-SNE (van der Maaten and Hinton,
    2008) and UMAP (McInnes, Healy and Melville, 2018) keep neighbours, and their distances between
    groups say little. t-SNE takes a fixed random choice of 5,000 points where there are more.

    Raises:
        UsageError: the library is not installed, or there are too few points for it.
    """
    check(method)
    rows = np.arange(len(points))
    if method == "tsne" and len(points) > MOST:
        rows = np.sort(np.random.default_rng(0).permutation(len(points))[:MOST])
    some = points[rows]
    plane = pca(torch.from_numpy(some))
    flat = plane.coordinates.numpy()
    if method == "pca":
        first, second = (f"{100 * share:.0f} % of variance" for share in plane.share.tolist())
        return Map(flat, rows, (f"PC 1 ({first})", f"PC 2 ({second})"))
    if len(some) < FEWEST:
        raise UsageError(
            f"--method {method} takes {FEWEST} items or more, not {len(some)}: use pca"
        )
    name = TITLES[method]
    with warnings.catch_warnings(action="ignore"):
        placed = _neighbours(some, flat, method)
    return Map(placed, rows, (f"{name} 1", f"{name} 2"))


def draw(shown: Map, title: str, labels: Array | None = None, classes: Sequence[str] = ()) -> bytes:
    """A map as the bytes of a PNG.

    Args:
        shown: its points.
        title: above it.
        labels: `(M,)`, indices into `classes`, of the points shown; None is one colour for all.
        classes: their names, for the legend; of more than 20 the largest 20 have a colour.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it would speak of its font cache
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), mpl.rc_context(mpl.rcParamsDefault):
        layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)  # inches
        figure = Figure(figsize=(8, _height(shown)), layout=layout)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        colours, legend = palette(labels, len(shown.rows), classes)
        count = len(shown.rows)
        order = np.random.default_rng(0).permutation(count)  # so that no class hides another
        axes.scatter(
            shown.coordinates[order, 0],
            shown.coordinates[order, 1],
            s=np.clip(600 / np.sqrt(count), 2, 40),
            c=colours[order],
            alpha=0.6 if count < MOST else 0.4,
            linewidths=0,
        )
        axes.set_title(title, parse_math=False)
        axes.set(xlabel=shown.axes[0], ylabel=shown.axes[1])
        _style(axes, measured=shown.axes[0].startswith("PC"))
        _legend(figure, legend)
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def palette(
    labels: Array | None, count: int, classes: Sequence[str]
) -> tuple[Array, list[tuple[str, Any]]]:
    """A colour for each of `count` points, `(count, 3)`, and the legend's names and colours.

    Of more than 20 classes the others are grey together.
    """
    from matplotlib.colors import to_rgb

    distinct = np.array([to_rgb(colour) for colour in DISTINCT])
    if labels is None or not classes:
        return np.tile(distinct[0], (count, 1)), []
    sizes = np.bincount(labels, minlength=len(classes))
    there = np.flatnonzero(sizes)
    named = np.sort(there[np.argsort(-sizes[there], kind="stable")][: len(DISTINCT)])
    of_class = np.full((len(classes), 3), GREY)
    everyone = len(classes) <= len(DISTINCT)  # then a class keeps its colour where some are missing
    of_class[named] = distinct[named if everyone else range(len(named))]
    legend = [(_short(classes[label]), of_class[label]) for label in named]
    others = len(there) - len(named)
    return of_class[labels], legend + ([(f"{others} others", (GREY,) * 3)] if others else [])


def _neighbours(points: Array, flat: Array, method: Method) -> Array:
    """Points in the places that UMAP or t-SNE gives them, starting from their principal plane."""
    module = importlib.import_module(LIBRARIES[method][0])
    start = (flat / max(flat[:, 0].std(), 1e-12)).astype(np.float32)
    if method == "tsne":
        perplexity = min(30, (len(points) - 1) / 3)
        places = module.TSNE(perplexity=perplexity, init=1e-4 * start, random_state=0)
    else:
        near = min(15, len(points) - 1)
        places = module.UMAP(n_neighbors=near, init=10 * start, random_state=0)
    return np.asarray(places.fit_transform(points))


def _height(shown: Map) -> float:
    """Inches of a figure 8 inches wide that its points fill, both axes in the same measure."""
    wide, tall = np.maximum(np.ptp(shown.coordinates, axis=0), 1e-12)
    return float(np.clip(1.2 + 6 * tall / wide, 4, 7.5))


def _style(axes: "Axes", *, measured: bool) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="0.93")
    axes.set_axisbelow(True)
    axes.set_aspect("equal", adjustable="datalim")
    if not measured:
        axes.set(xticks=[], yticks=[])


def _legend(figure: "Figure", names: Sequence[tuple[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    if not names:
        return
    markers = [Line2D([], [], marker="o", markersize=9, ls="", color=colour) for _, colour in names]
    legend = figure.legend(
        markers, ["x" * len(name) for name, _ in names], loc="outside right upper", frameon=False
    )
    for text, (name, _) in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def _short(name: str) -> str:
    """A name on one short line."""
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 1]}…"
