"""A small untrained model, and images for it."""

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.model import VAE, DiagonalNormal, MLPDecoder, MLPEncoder

SHAPE, LATENT_DIM = (1, 6, 5), 4


@pytest.fixture
def model() -> VAE:
    torch.manual_seed(0)
    hidden = (8,)
    return VAE(
        MLPEncoder(SHAPE, hidden, LATENT_DIM), MLPDecoder(SHAPE, hidden, LATENT_DIM), LATENT_DIM
    )


@pytest.fixture
def images() -> Tensor:
    """Five images."""
    return torch.rand(5, *SHAPE, generator=Generator().manual_seed(0))


@pytest.fixture
def posterior(model: VAE, images: Tensor) -> DiagonalNormal:
    """The posterior of the first image."""
    with torch.no_grad():
        return model.posterior(images[:1])
