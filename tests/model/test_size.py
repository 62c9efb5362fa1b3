"""The measured size of a network against what its layers add up to."""

import torch
from models import spec_of

from vae_cli.model import (
    PRESETS,
    VAE,
    ConvDecoder,
    ConvEncoder,
    SquaredError,
    StandardNormal,
    choose_conv_sizes,
    measure_size,
)
from vae_cli.settings import choose, merge

SHAPE = (1, 28, 28)


def conv_vae(preset: str) -> VAE:
    sizes = choose_conv_sizes(SHAPE, PRESETS[preset])
    return VAE(ConvEncoder(sizes, 3), ConvDecoder(sizes, 3), SquaredError(), StandardNormal(3))


def test_larger_presets_have_more_parameters_and_more_multiply_adds() -> None:
    sizes = []
    for preset in PRESETS:
        with torch.device("meta"):
            sizes.append(measure_size(conv_vae(preset), SHAPE, 8))
    assert sizes == sorted(sizes, key=lambda size: size.parameters)
    assert sizes == sorted(sizes, key=lambda size: size.multiply_adds)
    assert sizes[0].parameters == sum(p.numel() for p in conv_vae("small").parameters())


def test_the_size_of_an_mlp_is_that_of_its_layers() -> None:
    model = choose(merge(), spec_of(SHAPE)).build_on_meta(spec_of(SHAPE))
    size = measure_size(model, SHAPE, 128)
    assert size.multiply_adds == 784 * 400 + 400 * 40 + 20 * 400 + 400 * 784
    assert size.batch_bytes > 128 * (784 * 2 + 400 * 2) * 4
