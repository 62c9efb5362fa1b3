"""What is done with a model: nothing is random unless asked for, and shifts never accumulate."""

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
