"""Projections of latents to two dimensions for a map: PCA, t-SNE and UMAP."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from vae_cli.errors import UsageError
from vae_cli.latent import projections
from vae_cli.latent.projections import LIBRARIES, pca, project, require_library


def points(count: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dim, generator=Generator().manual_seed(seed))


def test_principal_axes_are_those_of_the_singular_values() -> None:
    spread = torch.tensor([0.3, 5.0, 1.0, 2.0])
    some = points(300, 4) * spread + 7
    plane = pca(some)
    torch.testing.assert_close(plane.axes @ plane.axes.T, torch.eye(2))
    torch.testing.assert_close(plane.mean, some.mean(0))
    torch.testing.assert_close(plane.coordinates, (some - some.mean(0)) @ plane.axes.T)
    values = torch.linalg.svdvals(some - some.mean(0)) ** 2
    torch.testing.assert_close(plane.explained_variance_ratio, values[:2] / values.sum())
    torch.testing.assert_close(plane.coordinates.square().sum(0), values[:2], rtol=1e-4, atol=0)


def test_principal_axes_do_not_change_with_the_order_sign_or_origin_of_the_points() -> None:
    some = points(50, 5) * torch.arange(1, 6)
    axes = pca(some).axes
    for other in (some.flip(0), -some, some + 100):
        torch.testing.assert_close(pca(other).axes, axes, rtol=1e-3, atol=1e-4)
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()


def test_points_in_a_plane_are_restored_from_their_coordinates() -> None:
    some = points(20, 2) @ points(2, 6, seed=1) + 3
    plane = pca(some)
    torch.testing.assert_close(plane.coordinates @ plane.axes + plane.mean, some)
    assert float(plane.explained_variance_ratio.sum()) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (5, 1), (1, 1)])
def test_few_points_or_one_dimension_also_have_a_plane(shape: tuple[int, int]) -> None:
    for some in (points(*shape), torch.ones(shape)):
        plane = pca(some)
        assert plane.coordinates.shape == (shape[0], 2)
        assert plane.axes.shape == (2, shape[1])
        assert all(part.isfinite().all() for part in plane)
        torch.testing.assert_close(plane.coordinates @ plane.axes + plane.mean, some)


Array = np.ndarray[Any, Any]


@pytest.fixture
def groups() -> Array:
    """Three groups of 60 points, far from each other."""
    centres = np.eye(3).repeat(60, 0) * 20
    points = np.random.default_rng(0).normal(size=(180, 3)) + centres
    return points.astype(np.float32)


def nearest_is_in_the_same_group(coordinates: Array, group: Array) -> bool:
    apart = coordinates[:, None] - coordinates
    distance = np.square(apart).sum(-1) + np.diag(np.full(len(apart), np.inf))
    return bool((group[distance.argmin(1)] == group).all())


def test_pca_projects_to_the_directions_of_largest_variance() -> None:
    points = np.random.default_rng(0).normal(size=(500, 4)) * [1, 5, 2, 0.1]
    projection = project(points.astype(np.float32))
    assert abs(np.corrcoef(projection.coordinates[:, 0], points[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(projection.coordinates[:, 1], points[:, 2])[0, 1]) > 0.99
    assert (projection.rows == np.arange(500)).all()


def test_the_labels_of_the_axes_of_pca_give_the_variance_of_each() -> None:
    points = np.random.default_rng(0).normal(size=(500, 4)) * [1, 5, 2, 0.1]
    projection = project(points.astype(np.float32))
    ratios = np.sort(points.var(0))[:1:-1] / points.var(0).sum()
    for number, (label, ratio) in enumerate(zip(projection.axis_labels, ratios, strict=True), 1):
        assert label.startswith(f"PC {number} (")
        assert int(label.split()[2][1:]) == pytest.approx(100 * ratio, abs=1)


def test_t_sne_keeps_neighbours_of_a_limited_number_of_points(
    groups: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "MAX_TSNE_POINTS", 90)
    projection = project(groups, "tsne")
    assert projection.axis_labels == ("t-SNE 1", "t-SNE 2")
    assert projection.coordinates.shape == (90, 2)
    assert len(set(projection.rows.tolist())) == 90
    assert (np.diff(projection.rows) > 0).all()
    assert nearest_is_in_the_same_group(projection.coordinates, projection.rows // 60)


def test_t_sne_gives_the_same_coordinates_every_time(groups: Array) -> None:
    first, second = project(groups[::6], "tsne"), project(groups[::6], "tsne")
    assert (first.coordinates == second.coordinates).all()
    assert (first.rows == second.rows).all()


def test_umap_starts_from_the_principal_plane_with_a_fixed_seed(
    groups: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is large and not installed for the tests; this takes its place."""
    options: dict[str, Any] = {}

    def make_reducer(**given: Any) -> SimpleNamespace:
        options.update(given)
        return SimpleNamespace(fit_transform=lambda points: points[:, :2])

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=make_reducer))
    projection = project(groups[:12], "umap")
    assert projection.axis_labels == ("UMAP 1", "UMAP 2")
    assert (projection.coordinates == groups[:12, :2]).all()
    assert options["random_state"] == 0
    assert options["n_neighbors"] == 11, "fewer than there are points"
    start = options["init"] / options["init"].std(0)
    plane = project(groups[:12]).coordinates
    np.testing.assert_allclose(start, plane / plane.std(0), rtol=1e-4, atol=1e-5)

    project(groups, "umap")
    assert options["n_neighbors"] == 15


@pytest.mark.slow  # numba compiles it first
def test_umap_keeps_neighbours(groups: Array) -> None:
    pytest.importorskip("umap")
    projection = project(groups, "umap")
    assert nearest_is_in_the_same_group(projection.coordinates, projection.rows // 60)


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_ten_points_are_needed_for_neighbours(
    method: projections.ProjectionMethod, groups: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[method][0], SimpleNamespace())
    with pytest.raises(UsageError, match=f"method={method} takes 10 items or more, not 9: use pca"):
        project(groups[:9], method)


def test_identical_points_are_projected_by_every_installed_method() -> None:
    points = np.ones((12, 3), np.float32)
    for method in ("pca", "tsne"):
        assert np.isfinite(project(points, method).coordinates).all()


@pytest.mark.parametrize(("method", "package"), [("tsne", "scikit-learn"), ("umap", "umap-learn")])
def test_a_method_whose_library_is_not_installed_is_refused(
    method: projections.ProjectionMethod,
    package: str,
    groups: Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, LIBRARIES[method][0], None)
    message = f"method={method}: pip install {package}, or use pca"
    with pytest.raises(UsageError, match=message):
        require_library(method)
    with pytest.raises(UsageError, match=message):
        project(groups, method)


def test_pca_needs_no_library() -> None:
    require_library("pca")


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UsageError, match="method=t-sne: must be pca, umap or tsne"):
        project(points(5, 3).numpy(), "t-sne")
