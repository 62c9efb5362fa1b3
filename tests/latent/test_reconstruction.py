"""Reconstruction: the posterior mean, unless samples are asked for."""

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.latent.reconstruction import reconstruct
from vae_cli.model import VAE
from vae_cli.noise import Noise


def test_a_reconstruction_repeats_and_has_the_distortion_and_kl_of_each_image(
    model: VAE, images: Tensor
) -> None:
    first, again = reconstruct(model, Batch(images)), reconstruct(model, Batch(images))
    assert first.items.equal(again.items)
    squared_error = ((images - first.items) ** 2).sum((1, 2, 3))
    torch.testing.assert_close(first.distortion, squared_error)
    torch.testing.assert_close(first.kl, model.encoder(images).kl_to_standard().sum(1))


def test_a_reconstruction_with_noise_is_decoded_from_samples(model: VAE, images: Tensor) -> None:
    sampled = reconstruct(model, Batch(images), Noise(0))
    z = model.posterior(Batch(images)).rsample(1, Noise(0))[0]
    torch.testing.assert_close(sampled.items, model.decode(z).mean)
    assert not sampled.items.equal(reconstruct(model, Batch(images)).items)
