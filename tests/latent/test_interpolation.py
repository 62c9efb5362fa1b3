"""Between latents: paths, loops, planes, and latents that are exchanged."""

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.latent.interpolation import (
    close_loop,
    exchange,
    gaussian_quantiles,
    interpolate,
    quantile_plane,
)

LATENT_DIM = 4


def latents(count: int) -> Tensor:
    return torch.randn(count, LATENT_DIM, generator=Generator().manual_seed(0))


@pytest.mark.parametrize("spherical", [False, True])
def test_a_path_starts_and_ends_at_its_anchors(*, spherical: bool) -> None:
    anchors = latents(4)
    paths = interpolate(anchors, 7, spherical=spherical)
    assert paths.shape == (3, 7, LATENT_DIM)
    torch.testing.assert_close(paths[:, 0], anchors[:-1])
    torch.testing.assert_close(paths[:, -1], anchors[1:])


def test_the_steps_of_a_line_are_equal() -> None:
    steps = interpolate(latents(3), 9).diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))


def test_a_great_circle_turns_by_equal_angles_in_the_plane_of_its_anchors() -> None:
    anchors = torch.nn.functional.normalize(latents(3), dim=-1) * 2.5
    for number, path in enumerate(interpolate(anchors, 9, spherical=True)):
        torch.testing.assert_close(path.norm(dim=-1), torch.full((9,), 2.5))
        cosines = (path[:-1] * path[1:]).sum(-1)
        torch.testing.assert_close(cosines, cosines[:1].expand(8))
        with_anchors = torch.cat([path, anchors[number : number + 2]])
        assert torch.linalg.matrix_rank(with_anchors, rtol=1e-4) == 2


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_between_latents_on_one_line_through_the_origin_the_path_is_the_line(
    factor: float,
) -> None:
    start = latents(1)
    anchors = torch.cat([start, factor * start])
    line, circle = (interpolate(anchors, 5, spherical=spherical) for spherical in (False, True))
    if factor != 0:
        torch.testing.assert_close(circle, line)
    assert circle.isfinite().all()


def test_a_loop_passes_all_of_its_anchors_and_returns_to_the_first() -> None:
    anchors = latents(5)
    loop = close_loop(anchors, 4)
    assert len(loop) == 20
    torch.testing.assert_close(loop[::4], anchors)
    torch.testing.assert_close(loop[-4:], close_loop(anchors.roll(1, 0), 4)[:4])


@pytest.mark.parametrize("count", [2, 3, 20, 200])
def test_between_two_quantiles_lies_the_same_share_of_the_prior(count: int) -> None:
    quantiles = gaussian_quantiles(count).double()
    shares = torch.special.ndtr(quantiles)
    torch.testing.assert_close(shares.diff(), torch.full((count - 1,), 1 / count).double())
    torch.testing.assert_close(quantiles, -quantiles.flip(0))
    assert shares[0].item() == pytest.approx(1 - shares[-1].item())


def test_the_first_dimension_rises_to_the_right_and_the_second_upwards() -> None:
    plane = quantile_plane(5, (3, 1), 4)
    assert plane.shape == (5, 5, 4)
    assert (plane[..., 3].diff(dim=1) > 0).all()
    assert (plane[..., 1].diff(dim=0) < 0).all()
    assert (plane[..., [0, 2]] == 0).all()
    assert (plane[2, 2] == 0).all(), "the middle is the mean of the prior"


def test_only_the_named_dimensions_are_exchanged_and_twice_is_nothing() -> None:
    latents = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    exchanged = exchange(latents, [1, 4])
    assert (exchanged[:, [1, 4]] == latents.flip(0)[:, [1, 4]]).all()
    assert (exchanged[:, [0, 2, 3, 5]] == latents[:, [0, 2, 3, 5]]).all()
    assert (exchange(exchanged, [4, 1]) == latents).all()
    assert (exchange(latents, range(6)) == latents.flip(0)).all()
