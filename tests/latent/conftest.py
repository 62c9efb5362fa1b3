"""A small untrained model, and images for it."""

import pytest
import torch
from models import mlp_vae
from torch import Generator, Tensor

from vae_cli.data.batch import Batch
from vae_cli.model import VAE, DiagonalNormal, require_normal

SHAPE, LATENT_DIM = (1, 6, 5), 4


@pytest.fixture
def model() -> VAE:
    return mlp_vae(SHAPE, (8,), LATENT_DIM)


@pytest.fixture
def images() -> Tensor:
    """Five images."""
    return torch.rand(5, *SHAPE, generator=Generator().manual_seed(0))


@pytest.fixture
def posterior(model: VAE, images: Tensor) -> DiagonalNormal:
    """The posterior of the first image."""
    with torch.no_grad():
        return require_normal(model.posterior(Batch(images[:1])))
