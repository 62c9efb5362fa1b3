"""The convolutional networks."""

from itertools import product

import pytest
import torch
from models import lose

from vae_cli.data.batch import Batch
from vae_cli.model import (
    PRESETS,
    VAE,
    ConvDecoder,
    ConvEncoder,
    NegativeELBO,
    SquaredError,
    StandardNormal,
    choose_conv_sizes,
)
from vae_cli.noise import Noise


def conv_vae(shape: tuple[int, ...], preset: str = "small") -> VAE:
    torch.manual_seed(0)
    sizes, latent_dim = choose_conv_sizes(shape, PRESETS[preset]), 3
    encoder, decoder = ConvEncoder(sizes, latent_dim), ConvDecoder(sizes, latent_dim)
    return VAE(encoder, decoder, SquaredError(), StandardNormal(latent_dim))


@pytest.mark.parametrize(
    ("height", "width", "channels"),
    [
        *product((16, 17, 28, 33, 64), (16, 31, 64), (1, 3)),
        (256, 256, 3),
        (256, 16, 4),
        (47, 64, 2),
    ],
)
def test_reconstructions_have_the_shape_of_the_images(
    height: int, width: int, channels: int
) -> None:
    shape = (channels, height, width)
    with torch.device("meta"):
        inference = conv_vae(shape)(Batch(torch.empty(2, *shape)))
    assert inference.likelihood.mean.shape == (1, 2, *shape)
    assert inference.levels[0].z.shape == (1, 2, 3)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_gets_a_gradient(preset: str) -> None:
    model, x = conv_vae((3, 20, 24), preset), torch.rand(4, 3, 20, 24)
    for name, parameter in model.named_parameters():
        if name.endswith("conv2.weight"):  # starts at 0, which blocks gradients to earlier layers
            torch.nn.init.normal_(parameter, std=0.1)
    inference = model(Batch(x), noise=Noise(0))
    lose(NegativeELBO(), x, inference).losses["model"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_posterior_of_an_image_does_not_depend_on_the_rest_of_the_batch() -> None:
    model, x = conv_vae((1, 28, 28)), torch.rand(5, 1, 28, 28)
    together = model.posterior(Batch(x)).mode()
    alone = torch.cat([model.posterior(Batch(one)).mode() for one in x.split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_decoder_makes_no_checkerboard_pattern() -> None:
    """Features that are equal everywhere give an even middle; strided convolutions would not."""
    model = conv_vae((1, 32, 32))
    decoder = model.decoder
    assert isinstance(decoder, ConvDecoder)
    torch.nn.init.zeros_(decoder.project.weight)
    even = torch.randn(decoder.coarsest[0], 1, 1).expand(decoder.coarsest)
    decoder.project.bias.data = even.reshape(-1)
    middle = model.decode(torch.randn(1, 3)).mean[0, 0, 12:20, 12:20]
    assert middle.max() - middle.min() < 1e-5
