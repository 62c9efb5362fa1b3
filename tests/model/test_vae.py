"""The VAE as a whole, with fully connected networks."""

import pytest
import torch
from models import conditional_vae, lose, mlp_vae, spec_of

from vae_cli.data.batch import Batch
from vae_cli.model import VAE, NegativeELBO, require_normal
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge

SHAPE = (3, 8, 6)


def small_vae() -> VAE:
    return mlp_vae(SHAPE, (17, 11), 5)


def test_shapes_and_ranges_are_the_documented_ones() -> None:
    x = torch.rand(4, *SHAPE)
    inference = small_vae()(Batch(x), 2, Noise(0))
    (level,) = inference.levels
    posterior = require_normal(level.posterior)
    assert posterior.mean.shape == posterior.log_variance.shape == (4, 5)
    assert level.z.shape == (2, 4, 5)
    assert inference.likelihood.mean.shape == (2, *x.shape)
    assert inference.log_weights(x).shape == (2, 4)
    assert inference.kl().shape == (4,)
    assert ((inference.likelihood.mean > 0) & (inference.likelihood.mean < 1)).all()
    assert small_vae().prior().sample(6, Noise(0)).shape == (6, 5)


def test_every_parameter_gets_a_gradient() -> None:
    model, x = small_vae(), torch.rand(4, *SHAPE)
    lose(NegativeELBO(), x, model(Batch(x), 1, Noise(0))).losses["model"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_posterior_of_an_image_does_not_depend_on_the_rest_of_the_batch() -> None:
    model, x = small_vae(), torch.rand(4, *SHAPE)
    alone = model.posterior(Batch(x[2:3])).mode()
    torch.testing.assert_close(model.posterior(Batch(x)).mode()[2:3], alone)


def test_every_sample_of_an_item_is_decoded_with_the_condition_of_the_item() -> None:
    model, x, y = conditional_vae(SHAPE), torch.rand(4, *SHAPE), torch.tensor([3, 0, 0, 2])
    inference = model.infer(Batch(x, y), 2, Noise(0))
    z = inference.levels[0].z
    for place in range(4):
        alone = Batch(x[place : place + 1], y[place : place + 1])
        torch.testing.assert_close(
            model.posterior(alone).mode()[0], model.posterior(Batch(x, y)).mode()[place]
        )
        for sample in range(2):
            expected = model.decode(z[sample, place : place + 1], alone.y).mean[0]
            torch.testing.assert_close(inference.likelihood.mean[sample, place], expected)
            generated = model.generate(z[sample, place : place + 1], Noise(0), y=alone.y)
            assert generated.mean[0].equal(expected)
    others = model.infer(Batch(x, y.roll(1)), 2, Noise(0)).likelihood.mean
    assert not others.allclose(inference.likelihood.mean)


def test_a_model_whose_networks_take_no_condition_refuses_one() -> None:
    batch = Batch(torch.rand(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64))
    for network in ("mlp", "conv", "two-level", "hierarchical"):
        config = merge(("", {"model": {"network": network}}))
        model = choose(config, spec_of((1, 28, 28))).build_model(spec_of((1, 28, 28)))
        for use in (model.infer, model.posterior):
            with pytest.raises(TypeError):
                use(batch)
        with pytest.raises(TypeError):
            model.decode(torch.zeros(4, model.latent_dim), batch.y)
