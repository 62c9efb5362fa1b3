"""The convolutional network and the networks for vectors."""

import math
from itertools import product

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import Normal

from vae_cli import build, config
from vae_cli.errors import UsageError
from vae_cli.model import PRESETS, VAE, ColumnNormal, ConvDecoder, ConvEncoder, measure, plan
from vae_cli.objectives import ELBO
from vae_cli.training import differentiate, trace

CPU = torch.device("cpu")


def conv(shape: tuple[int, ...], preset: str = "small", latent_dim: int = 3) -> VAE:
    torch.manual_seed(0)
    sizes = plan(shape, PRESETS[preset])
    return VAE(ConvEncoder(sizes, latent_dim), ConvDecoder(sizes, latent_dim), latent_dim)


@pytest.mark.parametrize(
    ("height", "width", "channels"),
    [
        *product((16, 17, 28, 33, 64), (16, 31, 64), (1, 3)),
        (256, 256, 3),
        (256, 16, 4),
        (47, 64, 2),
    ],
)
def test_any_height_width_and_channels_come_back_as_they_went_in(
    height: int, width: int, channels: int
) -> None:
    shape = (channels, height, width)
    with torch.device("meta"):
        model = conv(shape)
        inference = model(torch.empty(2, *shape))
    assert inference.likelihood.mean.shape == (2, *shape)
    assert inference.z.shape == (2, 3)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_parameter_gets_a_gradient(preset: str) -> None:
    model, x = conv((3, 20, 24), preset), torch.rand(4, 3, 20, 24)
    for name, parameter in model.named_parameters():
        if name.endswith("conv2.weight"):  # starts at 0, which hides what is before it
            torch.nn.init.normal_(parameter, std=0.1)
    ELBO()(x, model(x, Generator().manual_seed(0))).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_an_images_reconstruction_does_not_depend_on_the_rest_of_the_batch() -> None:
    model, x = conv((1, 28, 28)), torch.rand(5, 1, 28, 28)
    together = model.posterior(x).mean
    alone = torch.cat([model.posterior(one).mean for one in x.split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_enlargement_leaves_no_checkerboard() -> None:
    """From features that are the same everywhere comes a middle that is: strided ones would not."""
    model = conv((1, 32, 32))
    decoder = model.decoder
    assert isinstance(decoder, ConvDecoder)
    torch.nn.init.zeros_(decoder.project.weight)
    even = torch.randn(decoder.coarsest[0], 1, 1).expand(decoder.coarsest)
    decoder.project.bias.data = even.reshape(-1)
    middle = model.likelihood(torch.randn(1, 3)).mean[0, 0, 12:20, 12:20]
    assert middle.max() - middle.min() < 1e-5


def test_the_traced_step_of_a_conv_is_the_plain_step() -> None:
    settings = config.resolve(("", {"model": {"network": "conv", "latent_dim": 3}}))
    plain, quick = (build.state(settings, (1, 20, 20), CPU) for _ in range(2))
    x = torch.rand(8, 1, 20, 20)
    traced = trace(quick, ELBO(), x)
    assert traced
    (loss, gradients), (expected, references) = traced(x), differentiate(plain, ELBO(), x)
    assert loss.loss.equal(expected.loss)
    for gradient, reference in zip(gradients, references, strict=True):
        torch.testing.assert_close(gradient, reference)


def test_sizes_grow_with_the_preset_and_are_those_of_the_network() -> None:
    sizes = []
    for preset in PRESETS:
        with torch.device("meta"):
            sizes.append(measure(conv((1, 28, 28), preset), (1, 28, 28), 8))
    assert sizes == sorted(sizes, key=lambda size: size.parameters)
    assert sizes == sorted(sizes, key=lambda size: size.multiply_adds)
    assert sizes[0].parameters == sum(p.numel() for p in conv((1, 28, 28)).parameters())
    with torch.device("meta"):
        mlp = build.model(config.resolve().model, (1, 28, 28))
    size = measure(mlp, (1, 28, 28), 128)
    assert size.multiply_adds == 784 * 400 + 400 * 40 + 20 * 400 + 400 * 784
    assert size.batch_bytes > 128 * (784 * 2 + 400 * 2) * 4


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 28, 28), "mlp"),
        ((13,), "mlp"),
        ((3, 28, 28), "conv"),
        ((1, 64, 64), "conv"),
        ((1, 8, 8), "mlp"),
        ((1, 300, 300), "mlp"),
    ],
)
def test_the_network_suits_the_items(shape: tuple[int, ...], expected: str) -> None:
    assert build.settle(config.resolve(), shape).model.network == expected


@pytest.mark.parametrize("shape", [(13,), (1, 8, 8), (1, 300, 300)])
def test_a_conv_for_what_it_cannot_take_is_refused(shape: tuple[int, ...]) -> None:
    settings = config.resolve(("", {"model": {"network": "conv"}}))
    with pytest.raises(UsageError, match="--model conv takes images from 16x16"):
        build.settle(settings, shape)


def column_normal() -> ColumnNormal:
    torch.manual_seed(0)
    return ColumnNormal(torch.randn(6, 4), torch.randn(4), torch.rand(4) + 0.5)


def test_the_likelihood_of_vectors_is_the_normal_distributions() -> None:
    likelihood, x = column_normal(), torch.randn(6, 4)
    scale = likelihood.unit * (0.5 * likelihood.log_variance).exp()
    expected = Normal(likelihood.mean, scale).log_prob(x).sum(1)
    torch.testing.assert_close(likelihood.log_prob(x), expected)
    constant = likelihood.log_prob(x) + likelihood.distortion(x)
    torch.testing.assert_close(constant, constant[:1].expand(6))


def test_draws_have_the_likelihoods_mean_and_deviation() -> None:
    likelihood = column_normal()
    generator = Generator().manual_seed(0)
    draws = torch.stack([likelihood.sample(generator) for _ in range(4000)])
    scale = likelihood.unit * (0.5 * likelihood.log_variance).exp()
    torch.testing.assert_close(draws.mean(0), likelihood.mean, rtol=0, atol=0.25)
    torch.testing.assert_close(draws.std(0), scale.expand(6, 4), rtol=0.06, atol=0)


def test_the_units_of_the_columns_change_nothing_but_the_units() -> None:
    settings, x = (
        config.resolve(("", {"model": {"hidden": [8], "latent_dim": 2}})),
        torch.randn(50, 3),
    )
    unit, shift = torch.tensor([1000.0, 0.01, 1.0]), torch.tensor([5.0, -3.0, 0.0])

    def made(rows: Tensor) -> tuple[Tensor, Tensor]:
        columns = rows.mean(0), rows.std(0, correction=0)
        model = build.state(settings, (3,), CPU, columns).model
        inference = model(rows, Generator().manual_seed(0))
        return inference.likelihood.mean, inference.likelihood.distortion(rows)

    (mean, distortion), (other, same) = made(x), made(x * unit + shift)
    torch.testing.assert_close(other, mean * unit + shift, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(same, distortion, rtol=1e-3, atol=1e-3)


def test_a_linear_gaussian_is_learned_to_its_known_likelihood() -> None:
    """One factor behind five columns: the ELBO comes near the data's own entropy."""
    torch.manual_seed(0)
    loading, noise = torch.tensor([1.0, 0.8, 0.6, -0.9, 0.5]), 0.3
    rows = torch.randn(4000, 1) * loading + noise * torch.randn(4000, 5)
    covariance = torch.outer(loading, loading) + noise**2 * torch.eye(5)
    entropy = 0.5 * torch.logdet(2 * math.pi * math.e * covariance)
    columns = rows.mean(0), rows.std(0, correction=0)
    settings = config.resolve(("", {"model": {"hidden": [16], "latent_dim": 2}}))
    state = build.state(settings, (5,), CPU, columns)
    for step in range(1500):
        batch = rows[torch.randint(0, 4000, (128,))]
        loss, gradients = differentiate(state, ELBO(), batch)
        state.optimizer.step(gradients, 5e-3 * (1 - step / 1500), loss.loss)
    with torch.no_grad():
        inference = state.model(rows, Generator().manual_seed(0))
    elbo = inference.likelihood.log_prob(rows) - inference.posterior.kl_to_standard().sum(1)
    assert -elbo.mean() == pytest.approx(float(entropy), abs=0.08)
    assert -elbo.mean() > float(entropy) - 0.05
