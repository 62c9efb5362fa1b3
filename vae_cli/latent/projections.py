"""Projections of latents to two dimensions: PCA, t-SNE and UMAP."""

import importlib
import warnings
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from vae_cli.errors import UsageError, mark, require_known

ProjectionMethod = Literal["pca", "umap", "tsne"]

MAX_TSNE_POINTS = 5000  # more take t-SNE too long
MIN_NEIGHBOUR_POINTS = 10  # with fewer points, neighbours mean nothing
LIBRARIES = {"umap": ("umap", "umap-learn"), "tsne": ("sklearn.manifold", "scikit-learn")}
MAX_DRAWN = 1e18  # a coordinate whose square float32 can hold
TITLES = {"umap": "UMAP", "tsne": "t-SNE"}

Array = np.ndarray[Any, np.dtype[Any]]


class PrincipalPlane(NamedTuple):
    """The plane in which points vary most.

    Attributes:
        coordinates: `(N, 2)`, of the points.
        axes: `(2, D)`, of length 1 and orthogonal; if D is 1, the second is 0.
        mean: `(D,)`, the origin of the plane.
        explained_variance_ratio: `(2,)`, the share of the whole variance along each axis.
    """

    coordinates: Tensor
    axes: Tensor
    mean: Tensor
    explained_variance_ratio: Tensor


class Projection(NamedTuple):
    """Points in two dimensions.

    Attributes:
        coordinates: `(M, 2)`.
        rows: int64 `(M,)`, the indices of the points that are projected.
        axis_labels: what the two axes are.
    """

    coordinates: Array
    rows: Array
    axis_labels: tuple[str, str]


def pca(points: Tensor) -> PrincipalPlane:
    """The first two principal components of points `(N, D)` (Pearson, 1901), in float64.

    The largest entry of an axis is positive, so that the same points always give the same picture.
    `coordinates @ axes + mean` is the point of the plane that is nearest to each point.
    """
    exact = points.double()
    mean = exact.mean(0)
    centred = exact - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(points))
    shown = min(2, len(mean))
    axes, variance = exact.new_zeros(2, len(mean)), exact.new_zeros(2)
    axes[:shown] = directions.T.flip(0)[:shown]
    variance[:shown] = variances.flip(0)[:shown].clamp(min=0)
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = torch.where(largest < 0, -axes, axes)
    ratio = variance / variances.clamp(min=0).sum().clamp(min=torch.finfo(exact.dtype).tiny)
    parts = (centred @ axes.T, axes, mean, ratio)
    return PrincipalPlane(*(part.to(points.dtype) for part in parts))


def drawable(points: Array) -> Array:
    """The rows of points `(N, D)` that can be drawn: int64 `(M,)`.

    The others have a coordinate that is no number, infinite, or so large that distances overflow.
    """
    return np.flatnonzero((np.abs(points) < MAX_DRAWN).all(1))


def require_library(method: ProjectionMethod) -> None:
    """Check that the library of a method is installed.

    Raises:
        UsageError: it is not, or there is no such method.
    """
    require_known("method", method, get_args(ProjectionMethod))
    if method in LIBRARIES:
        module, package = LIBRARIES[method]
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UsageError(
                f"{mark(f'method={method}')}: pip install {package}, or use pca"
            ) from error


def project(points: Array, method: ProjectionMethod = "pca") -> Projection:
    """Project points `(N, D)` to two dimensions; the same points always get the same coordinates.

    PCA (Pearson, 1901) preserves distances as well as a plane can. t-SNE (van der Maaten and
    Hinton, 2008) and UMAP (McInnes, Healy and Melville, 2018) preserve neighbours, and their
    distances between groups mean little. t-SNE projects a fixed random choice of 5,000 points if
    there are more. Points that cannot be drawn are left out.

    Raises:
        UsageError: the library is not installed, there are too few points for it, or none can be
            drawn.
    """
    require_library(method)
    rows = require_drawable(points)
    if method == "tsne" and len(rows) > MAX_TSNE_POINTS:
        some = np.sort(np.random.default_rng(0).permutation(len(rows))[:MAX_TSNE_POINTS])
        rows = rows[some]
    some = points[rows]
    plane = pca(torch.from_numpy(some))
    flat = plane.coordinates.numpy()
    if method == "pca":
        ratios = plane.explained_variance_ratio.tolist()
        first, second = (f"{100 * ratio:.0f} % of variance" for ratio in ratios)
        return Projection(flat, rows, (f"PC 1 ({first})", f"PC 2 ({second})"))
    if len(some) < MIN_NEIGHBOUR_POINTS:
        raise UsageError(
            f"{mark(f'method={method}')} takes {MIN_NEIGHBOUR_POINTS} items or more, "
            f"not {len(some)}: use pca"
        )
    with warnings.catch_warnings(action="ignore"):
        coordinates = _project_by_neighbours(some, flat, method)
    name = TITLES[method]
    return Projection(coordinates, rows, (f"{name} 1", f"{name} 2"))


def take_plane(points: Array) -> Projection:
    """Points `(N, 2)` of a latent space that is a plane already; as in `project`, not all."""
    rows = require_drawable(points)
    return Projection(points[rows], rows, ("z0", "z1"))


def require_drawable(points: Array) -> Array:
    """The rows of points that can be drawn, of which there is at least one.

    Raises:
        UsageError: there is none.
    """
    rows = drawable(points)
    if len(points) and not len(rows):
        raise UsageError("no item has a latent that can be drawn: all are too far from the data")
    return rows


def _project_by_neighbours(points: Array, flat: Array, method: ProjectionMethod) -> Array:
    """The coordinates of UMAP or t-SNE, which start from the principal plane."""
    module = importlib.import_module(LIBRARIES[method][0])
    start = (flat / max(flat[:, 0].std(), 1e-12)).astype(np.float32)
    if method == "tsne":
        perplexity = min(30, (len(points) - 1) / 3)
        reducer = module.TSNE(perplexity=perplexity, init=1e-4 * start, random_state=0)
    else:
        neighbours = min(15, len(points) - 1)
        reducer = module.UMAP(n_neighbors=neighbours, init=10 * start, random_state=0)
    return np.asarray(reducer.fit_transform(points))
