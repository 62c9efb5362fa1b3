"""The dense VAE with two levels: its bound is the definition of it, term by term."""

import pytest
import torch
from models import spec_of
from torch import Generator, Tensor

from vae_cli.data.batch import Batch
from vae_cli.model import LatentModel, TwoLevelVAE
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge

SHAPE = (1, 4, 5)


@pytest.fixture
def model() -> LatentModel:
    torch.manual_seed(0)
    tables = {
        "model": {"network": "two-level", "hidden": [16, 8], "latent_dim": 3, "bounded": True},
        "likelihood": {"name": "binarized"},
    }
    return choose(merge(("", tables)), spec_of(SHAPE)).build_model(spec_of(SHAPE))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, *SHAPE, generator=Generator().manual_seed(0)).round()


def test_the_log_weights_are_their_definition(model: LatentModel, images: Tensor) -> None:
    """log p(z_0) + log p(z_1|z_0) + log p(x|z_0, z_1) - log q(z_0|x) - log q(z_1|x, z_0)."""
    assert isinstance(model, TwoLevelVAE)
    inference = model.infer(Batch(images), 4, Noise(0))
    z_0, z_1 = (level.z for level in inference.levels)
    expected = model.prior().log_prob(z_0) - model.posterior(Batch(images)).log_prob(z_0)
    for k in range(4):
        prior = model.lower_prior(z_0[k])
        posterior = model.lower_encoder(images, z_0[k])
        reconstruction = model.decode_levels((z_0[k], z_1[k])).log_prob(images)
        expected[k] += prior.log_prob(z_1[k]) - posterior.log_prob(z_1[k]) + reconstruction
    assert torch.allclose(inference.log_weights(images), expected, atol=1e-4)


def test_each_level_has_the_kl_of_its_conditional_distributions(
    model: LatentModel, images: Tensor
) -> None:
    """The closed form is minus the mean of the ratios of many samples."""
    inference = model.infer(Batch(images), 20_000, Noise(1))
    for level in inference.levels:
        ratios = level.log_ratio()
        error = ratios.std(0) / len(ratios) ** 0.5
        assert ((level.kl() + ratios.mean(0)).abs() < 5 * error + 1e-5).all()


def test_the_item_goes_once_through_its_own_layers(model: LatentModel, images: Tensor) -> None:
    assert isinstance(model, TwoLevelVAE)
    seen: list[torch.Size] = []
    model.lower_encoder.one.register_forward_hook(lambda *words: seen.append(words[2].shape))
    model.infer(Batch(images), 4, Noise(0))
    assert seen == [(6, 16)]


def test_below_the_top_the_prior_is_sampled_or_its_mean_is_taken(model: LatentModel) -> None:
    z = torch.randn(5, 2, 3)
    assert model.decode(z).mean.shape == (5, 2, *SHAPE)
    assert model.generate(z, Noise(0), 0.0).mean.allclose(model.decode(z).mean)
    assert not model.generate(z, Noise(0)).mean.allclose(model.decode(z).mean)
    assert model.latent_dims == (3, 3)


def test_the_network_has_the_sizes_of_tomczak_and_welling() -> None:
    """Gated layers of 300 and two levels of 40: counted from section 4 of their paper."""
    hidden = {"hidden": [300, 300], "latent_dim": 40, "gated": True}
    config = merge(("", {"model": {"network": "two-level", **hidden}}))
    model = choose(config, spec_of((1, 28, 28))).build_model(spec_of((1, 28, 28)))

    def gated(width_in: int, width_out: int = 300) -> int:
        return 2 * (width_in + 1) * width_out

    heads = 301 * 80
    encoders = gated(784) + gated(300) + heads + gated(784) + gated(40) + gated(600) + heads
    decoders = gated(40) + gated(300) + heads + 2 * gated(40) + gated(600) + 301 * 784
    assert sum(one.numel() for one in model.parameters()) == encoders + decoders
