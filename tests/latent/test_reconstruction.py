"""Encoding and reconstruction: the posterior mean, unless samples are asked for."""

import torch
from torch import Generator, Tensor

from vae_cli.latent.reconstruction import latent_of, reconstruct
from vae_cli.model import VAE, DiagonalNormal


def test_a_latent_is_the_posterior_mean_unless_a_generator_is_given(
    posterior: DiagonalNormal,
) -> None:
    assert latent_of(posterior).equal(posterior.mean)
    sample = latent_of(posterior, Generator().manual_seed(0))
    assert not sample.equal(posterior.mean)
    assert sample.equal(latent_of(posterior, Generator().manual_seed(0)))


def test_a_reconstruction_repeats_and_has_the_distortion_and_kl_of_each_image(
    model: VAE, images: Tensor
) -> None:
    first, again = reconstruct(model, images), reconstruct(model, images)
    assert first.items.equal(again.items)
    squared_error = ((images - first.items) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(first.distortion, squared_error)
    torch.testing.assert_close(first.kl, model.posterior(images).kl_to_standard().sum(1))


def test_a_reconstruction_with_a_generator_is_decoded_from_samples(
    model: VAE, images: Tensor
) -> None:
    sampled = reconstruct(model, images, Generator().manual_seed(0))
    z = model.posterior(images).rsample(Generator().manual_seed(0))
    torch.testing.assert_close(sampled.items, model.decode(z).mean)
    assert not sampled.items.equal(reconstruct(model, images).items)
