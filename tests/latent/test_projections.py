"""Projections of latents to two dimensions."""

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.latent.projections import pca


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
