"""Trained models that several tests of the API use."""

from pathlib import Path

import pytest

from vae_cli import load
from vae_cli.api.model import TrainedModel


@pytest.fixture(scope="session")
def model(home: Path) -> TrainedModel:
    """A model of Fashion-MNIST with 20 latent dimensions; it must not be changed."""
    return load(home / "runs/small", device="cpu")
