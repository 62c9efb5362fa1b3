"""Trained models that several tests of the API use."""

from pathlib import Path

import pytest
from pictures import table

from vae_cli import load, train
from vae_cli.api.model import TrainedModel


@pytest.fixture(scope="session")
def model(home: Path) -> TrainedModel:
    """A model of Fashion-MNIST with 20 latent dimensions; it must not be changed."""
    return load(home / "runs/small", device="cpu")


@pytest.fixture(scope="session")
def wine(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """A model of a table; it must not be changed."""
    data = table(tmp_path_factory.mktemp("wine") / "wine.csv", "wine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(data.parent)
        settings = {
            "data": {"name": str(data)},
            "model": {"latent_dim": 3},
            "training": {"epochs": 20, "device": "cpu"},
        }
        return train(settings)
