"""Traversals: every tile is one shift away from the same posterior."""

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.latent.reconstruction import reconstruct
from vae_cli.latent.traversal import LevelOfItem, traverse
from vae_cli.model import VAE, DiagonalNormal
from vae_cli.noise import Noise

OFFSETS = torch.tensor([-1.0, 0.0, 2.0])


def test_each_row_shifts_its_own_dimension_around_the_posterior_mean(
    model: VAE, posterior: DiagonalNormal
) -> None:
    rows = traverse(model, LevelOfItem(posterior), OFFSETS, [3, 0])
    for row, dim in zip(rows, (3, 0), strict=True):
        for tile, offset in zip(row, OFFSETS, strict=True):
            z = posterior.mean.clone()
            z[0, dim] += offset
            torch.testing.assert_close(tile, model.decode(z).mean[0])


def test_a_row_does_not_depend_on_the_rows_before_it(model: VAE, posterior: DiagonalNormal) -> None:
    dims = range(model.latent_dim)
    together = traverse(model, LevelOfItem(posterior), OFFSETS, dims)
    for dim in dims:
        alone = traverse(model, LevelOfItem(posterior), OFFSETS, [dim])[0]
        torch.testing.assert_close(together[dim], alone)


def test_every_row_shows_the_reconstruction_at_offset_zero(
    model: VAE, images: Tensor, posterior: DiagonalNormal
) -> None:
    rows = traverse(model, LevelOfItem(posterior), OFFSETS, range(model.latent_dim))
    reconstruction = reconstruct(model, Batch(images[:1])).items
    torch.testing.assert_close(rows[:, 1], reconstruction.expand_as(rows[:, 1]))


def test_without_dimensions_all_of_them_shift_together(
    model: VAE, posterior: DiagonalNormal
) -> None:
    (row,) = traverse(model, LevelOfItem(posterior), OFFSETS)
    torch.testing.assert_close(row, model.decode(posterior.mean + OFFSETS[:, None]).mean)


def test_a_sampled_traversal_has_new_noise_in_every_column(
    model: VAE, posterior: DiagonalNormal
) -> None:
    level = LevelOfItem(posterior)
    means = traverse(model, level, torch.zeros(3))
    samples = traverse(model, level, torch.zeros(3), noise=Noise(0))
    assert means[0, 0].equal(means[0, 1])
    assert not samples[0, 0].equal(samples[0, 1])
