"""Small states, images for them, and a short training."""

from collections.abc import Callable

import models
import pytest
import torch
from models import NoiselessVAE, mlp_vae
from torch import Generator, Tensor

from vae_cli.data.split import InMemory
from vae_cli.training import EpochReport, TrainState, constant, fit

SHAPE = (1, 6, 5)


@pytest.fixture
def make_images() -> Callable[..., Tensor]:
    """`make_images(count, seed=0)`: random uint8 images."""

    def make(count: int, seed: int = 0) -> Tensor:
        generator = Generator().manual_seed(seed)
        return torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=generator)

    return make


@pytest.fixture
def make_state() -> Callable[..., TrainState]:
    """`make_state(seed=0, device="cpu", noise=True)`: a state before its first step."""

    def make(seed: int = 0, device: str = "cpu", *, noise: bool = True) -> TrainState:
        vae = mlp_vae(SHAPE, (8,), 3, seed=seed)
        model = (vae if noise else NoiselessVAE(vae)).to(device)
        return models.make_state(model, seed=seed)

    return make


@pytest.fixture
def learn(make_images: Callable[..., Tensor]) -> Callable[..., list[EpochReport]]:
    """`learn(state, epochs=3, rate=1e-2)`: train in five steps per epoch; returns the reports."""

    def run(
        state: TrainState, *, epochs: int = 3, rate: float = 1e-2, **more: object
    ) -> list[EpochReport]:
        reports: list[EpochReport] = []
        fit(
            state,
            InMemory.whole(make_images(70)),
            InMemory.whole(make_images(33, seed=1)),
            epochs=epochs,
            batch_size=16,
            seed=0,
            learning_rate=constant(rate, 5 * epochs),
            report=reports.append,
            **more,
        )
        return reports

    return run
