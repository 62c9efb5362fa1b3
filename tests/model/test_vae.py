"""The VAE as a whole, with fully connected networks."""

import torch
from models import lose, mlp_vae

from vae_cli.data.batch import Batch
from vae_cli.model import VAE, NegativeELBO, require_normal
from vae_cli.noise import Noise

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
