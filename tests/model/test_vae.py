"""The VAE as a whole, with fully connected networks."""

import torch
from torch import Generator

from vae_cli.model import VAE, MLPDecoder, MLPEncoder, NegativeELBO

SHAPE = (3, 8, 6)


def mlp_vae() -> VAE:
    torch.manual_seed(0)
    hidden, latent_dim = (17, 11), 5
    return VAE(
        MLPEncoder(SHAPE, hidden, latent_dim), MLPDecoder(SHAPE, hidden, latent_dim), latent_dim
    )


def test_shapes_and_ranges_are_the_documented_ones() -> None:
    x = torch.rand(4, *SHAPE)
    inference = mlp_vae()(x, Generator().manual_seed(0))
    assert inference.posterior.mean.shape == inference.posterior.log_variance.shape == (4, 5)
    assert inference.z.shape == (4, 5)
    assert inference.likelihood.mean.shape == x.shape
    assert ((inference.likelihood.mean > 0) & (inference.likelihood.mean < 1)).all()
    assert mlp_vae().prior().sample(6, Generator().manual_seed(0)).shape == (6, 5)


def test_every_parameter_gets_a_gradient() -> None:
    model, x = mlp_vae(), torch.rand(4, *SHAPE)
    NegativeELBO()(x, model(x, Generator().manual_seed(0))).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_posterior_of_an_image_does_not_depend_on_the_rest_of_the_batch() -> None:
    model, x = mlp_vae(), torch.rand(4, *SHAPE)
    torch.testing.assert_close(model.posterior(x).mean[2:3], model.posterior(x[2:3]).mean)
