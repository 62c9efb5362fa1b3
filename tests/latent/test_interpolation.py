"""Paths between latents: lines, great circles and closed loops."""

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.latent.interpolation import close_loop, interpolate

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
