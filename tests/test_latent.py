"""What is done with a model: nothing is random unless asked for, and shifts never accumulate."""

import pytest
import torch
from torch import Generator, Tensor

from vae_cli import latent
from vae_cli.model import VAE, DiagonalNormal, MLPDecoder, MLPEncoder

SHAPE, DIM = (1, 6, 5), 4
OFFSETS = torch.tensor([-1.0, 0.0, 2.0])


def model() -> VAE:
    torch.manual_seed(0)
    return VAE(MLPEncoder(SHAPE, (8,), DIM), MLPDecoder(SHAPE, (8,), DIM), DIM)


def images(count: int) -> Tensor:
    return torch.rand(count, *SHAPE, generator=Generator().manual_seed(0))


def posterior() -> DiagonalNormal:
    with torch.no_grad():
        return model().posterior(images(1))


def test_encoding_is_the_posterior_mean_unless_a_draw_is_asked_for() -> None:
    q = posterior()
    assert latent.encode(q).equal(q.mean)
    drawn = latent.encode(q, Generator().manual_seed(0))
    assert not drawn.equal(q.mean)
    assert drawn.equal(latent.encode(q, Generator().manual_seed(0)))


def test_reconstructions_repeat_and_their_figures_are_an_images_own() -> None:
    x = images(5)
    made, again = latent.reconstruct(model(), x), latent.reconstruct(model(), x)
    assert made.items.equal(again.items)
    torch.testing.assert_close(made.distortion, ((x - made.items) ** 2).sum((1, 2, 3)))
    torch.testing.assert_close(made.kl, model().posterior(x).kl_to_standard().sum(1))


def test_a_traversal_shifts_one_dimension_a_row_around_the_posterior_mean() -> None:
    network, q = model(), posterior()
    rows = latent.traverse(network, q, OFFSETS, [3, 0])
    for row, dim in zip(rows, (3, 0), strict=True):
        for tile, offset in zip(row, OFFSETS, strict=True):
            z = q.mean.clone()
            z[0, dim] += offset
            torch.testing.assert_close(tile, network.decoder(z).mean[0])


def test_no_row_depends_on_the_rows_before_it() -> None:
    network, q = model(), posterior()
    together = latent.traverse(network, q, OFFSETS, range(DIM))
    for dim in range(DIM):
        alone = latent.traverse(network, q, OFFSETS, [dim])[0]
        torch.testing.assert_close(together[dim], alone)


def test_every_row_meets_the_reconstruction_at_offset_zero() -> None:
    network = model()
    rows = latent.traverse(network, posterior(), OFFSETS, range(DIM))
    middle = latent.reconstruct(network, images(1)).items
    torch.testing.assert_close(rows[:, 1], middle.expand(DIM, *SHAPE))


def test_without_dimensions_the_whole_mean_shifts() -> None:
    network, q = model(), posterior()
    (row,) = latent.traverse(network, q, OFFSETS)
    torch.testing.assert_close(row, network.decoder(q.mean + OFFSETS[:, None]).mean)


def test_a_drawn_traversal_has_new_noise_in_every_column() -> None:
    network, q = model(), posterior()
    still = latent.traverse(network, q, torch.zeros(3))
    drawn = latent.traverse(network, q, torch.zeros(3), generator=Generator().manual_seed(0))
    assert still[0, 0].equal(still[0, 1])
    assert not drawn[0, 0].equal(drawn[0, 1])


def test_temperature_scales_the_draws_from_the_prior() -> None:
    network = model()
    cold = latent.sample(network, 3, temperature=0.0)
    torch.testing.assert_close(cold, network.decoder(torch.zeros(3, DIM)).mean)
    z = network.prior().sample(3, Generator().manual_seed(5))
    warm = latent.sample(network, 3, temperature=2.0, generator=Generator().manual_seed(5))
    torch.testing.assert_close(warm, network.decoder(2 * z).mean)


def points(count: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(count, dim, generator=Generator().manual_seed(seed))


@pytest.mark.parametrize("spherical", [False, True])
def test_a_way_starts_and_ends_at_its_anchors(*, spherical: bool) -> None:
    anchors = points(4, DIM)
    ways = latent.path(anchors, 7, spherical=spherical)
    assert ways.shape == (3, 7, DIM)
    torch.testing.assert_close(ways[:, 0], anchors[:-1])
    torch.testing.assert_close(ways[:, -1], anchors[1:])


def test_a_straight_way_has_equal_steps() -> None:
    steps = latent.path(points(3, DIM), 9).diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))


def test_a_great_circle_turns_evenly_in_the_plane_of_its_ends() -> None:
    anchors = torch.nn.functional.normalize(points(3, DIM), dim=-1) * 2.5
    for way, ends in zip(latent.path(anchors, 9, spherical=True), (0, 1), strict=True):
        torch.testing.assert_close(way.norm(dim=-1), torch.full((9,), 2.5))
        turns = (way[:-1] * way[1:]).sum(-1)
        torch.testing.assert_close(turns, turns[:1].expand(8))
        assert torch.linalg.matrix_rank(torch.cat([way, anchors[ends : ends + 2]]), rtol=1e-4) == 2


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_where_there_is_no_one_circle_the_line_is_taken(factor: float) -> None:
    start = points(1, DIM)
    anchors = torch.cat([start, factor * start])
    line, circle = (latent.path(anchors, 5, spherical=which) for which in (False, True))
    if factor != 0:
        torch.testing.assert_close(circle, line)
    assert circle.isfinite().all()


def test_a_loop_passes_all_of_its_anchors_and_closes_evenly() -> None:
    anchors = points(5, DIM)
    way = latent.loop(anchors, 4)
    assert len(way) == 20
    torch.testing.assert_close(way[::4], anchors)
    torch.testing.assert_close(way[-4:], latent.loop(anchors.roll(1, 0), 4)[:4])


def test_principal_axes_are_those_of_the_singular_values() -> None:
    spread = torch.tensor([0.3, 5.0, 1.0, 2.0])
    some = points(300, 4) * spread + 7
    found = latent.pca(some)
    torch.testing.assert_close(found.axes @ found.axes.T, torch.eye(2))
    torch.testing.assert_close(found.mean, some.mean(0))
    torch.testing.assert_close(found.coordinates, (some - some.mean(0)) @ found.axes.T)
    values = torch.linalg.svdvals(some - some.mean(0)) ** 2
    torch.testing.assert_close(found.share, values[:2] / values.sum())
    torch.testing.assert_close(found.coordinates.square().sum(0), values[:2], rtol=1e-4, atol=0)


def test_principal_axes_do_not_turn_with_the_order_or_sign_of_points() -> None:
    some = points(50, 5) * torch.arange(1, 6)
    axes = latent.pca(some).axes
    for other in (some.flip(0), -some, some + 100):
        torch.testing.assert_close(latent.pca(other).axes, axes, rtol=1e-3, atol=1e-4)
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()


def test_points_in_a_plane_come_back_from_their_coordinates() -> None:
    some = points(20, 2) @ points(2, 6, seed=1) + 3
    found = latent.pca(some)
    torch.testing.assert_close(found.coordinates @ found.axes + found.mean, some)
    assert float(found.share.sum()) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (5, 1), (1, 1)])
def test_few_points_or_one_dimension_have_a_plane_too(shape: tuple[int, int]) -> None:
    for some in (points(*shape), torch.ones(shape)):
        found = latent.pca(some)
        assert found.coordinates.shape == (shape[0], 2)
        assert found.axes.shape == (2, shape[1])
        assert all(part.isfinite().all() for part in found)
        torch.testing.assert_close(found.coordinates @ found.axes + found.mean, some)
