"""Small untrained models."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.data.columns import Column, number_columns
from vae_cli.data.dataset import Spec
from vae_cli.model import (
    VAE,
    Context,
    Distribution,
    Inference,
    LatentModel,
    Loss,
    MLPDecoder,
    MLPEncoder,
    NegativeELBO,
    Objective,
    Posterior,
    SquaredError,
    StandardNormal,
)
from vae_cli.noise import Noise
from vae_cli.training import (
    Adam,
    Gradients,
    TrainState,
    first_state,
    loss_and_gradients,
    train_step,
)
from vae_cli.training.step import LossAndGradients
from vae_cli.training.world import Share

AFTER_WARMUP = torch.ones(())


def adam(network: nn.Module) -> Adam:
    """The optimizer of a player."""
    return Adam(dict(network.named_parameters()))


def make_state(model: LatentModel, objective: Objective | None = None, seed: int = 0) -> TrainState:
    """A state before its first step."""
    objective = objective or NegativeELBO()
    return first_state(model, objective, adam, Noise(seed, model.device))


def compute(state: TrainState, x: Tensor, y: Tensor | None = None) -> tuple[Loss, Gradients]:
    """The loss of a batch, and its gradients."""
    return loss_and_gradients(state, len(x), Batch(x, y), AFTER_WARMUP)


def take_step(state: TrainState, x: Tensor, rate: float = 0.1) -> None:
    """Train on a batch."""
    plain = partial(loss_and_gradients, state, len(x))
    train_step(state, plain, Batch(x), learning_rate=rate, warmup=AFTER_WARMUP)


def leave_untraced(
    state: TrainState, data_size: int, batch: Batch, share: Share | None = None
) -> LossAndGradients:
    """In place of `trace`: the plain function."""
    return partial(loss_and_gradients, state, data_size, share=share)


def lose(
    objective: Objective,
    x: Tensor,
    inference: Inference,
    *,
    warmup: float = 1.0,
    data_size: int = 100,
) -> Loss:
    """The losses of a batch."""
    return objective(Batch(x), inference, Context(warmup, data_size, Noise(1)))


def mlp_vae(
    shape: tuple[int, ...] = (1, 6, 5),
    hidden: tuple[int, ...] = (8,),
    latent_dim: int = 3,
    *,
    seed: int = 0,
) -> VAE:
    """A small untrained model of images."""
    torch.manual_seed(seed)
    encoder = MLPEncoder(shape, hidden, latent_dim)
    decoder = MLPDecoder(shape, hidden, latent_dim)
    return VAE(encoder, decoder, SquaredError(), StandardNormal(latent_dim))


class Conditioned(nn.Module):
    """A network whose inputs are moved by a vector of their class."""

    def __init__(self, network: nn.Module, classes: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.network, self.shape = network, shape
        self.shift = nn.Embedding(classes, prod(shape))

    def forward(self, inputs: Tensor, y: Tensor) -> Any:
        return self.network(inputs + self.shift(y).unflatten(-1, self.shape))


def conditional_vae(
    shape: tuple[int, ...] = (1, 6, 5),
    hidden: tuple[int, ...] = (8,),
    latent_dim: int = 3,
    *,
    classes: int = 4,
    seed: int = 0,
) -> VAE:
    """A small untrained model of images, given their classes."""
    vae = mlp_vae(shape, hidden, latent_dim, seed=seed)
    vae.encoder = Conditioned(vae.encoder, classes, shape)
    vae.decoder = Conditioned(vae.decoder, classes, (latent_dim,))
    return vae


class WrappedVAE(LatentModel):
    """A VAE inside of another model, which may treat items in its own way."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae, self.codec = vae, vae.codec
        self.likelihood, self.prior = vae.likelihood, vae.prior

    def posterior(self, batch: Batch) -> Posterior:
        return self.vae.posterior(batch)

    def decode_levels(self, latents: Sequence[Tensor], y: Tensor | None = None) -> Distribution:
        return self.vae.decode_levels(latents, y)

    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        return self.vae.infer(batch, samples, noise)

    def generate(
        self, z: Tensor, noise: Noise, temperature: float = 1.0, y: Tensor | None = None
    ) -> Distribution:
        return self.vae.generate(z, noise, temperature, y)


class NoiselessVAE(WrappedVAE):
    """A VAE that decodes the posterior mean, so that losses do not depend on random numbers."""

    def infer(self, batch: Batch, samples: int = 1, noise: Noise | None = None) -> Inference:
        return self.vae.infer(batch, samples)


def spec_of(shape: Sequence[int]) -> Spec:
    """What images or rows of numbers with a shape are."""
    is_row = len(shape) == 1
    columns = number_columns(*(f"column {n}" for n in range(1, shape[0] + 1))) if is_row else ()
    return Spec("items", tuple(shape), columns=columns)


LABEL = Column(name="label", kind="category", categories=("a", "b"))


def labelled_spec_of(shape: Sequence[int]) -> Spec:
    """What such items are if their classes, of which there are two, are the condition."""
    return replace(spec_of(shape), classes=LABEL.categories, condition=(LABEL,))


def label_rows(count: int) -> Tensor:
    """The conditions of so many items: one class or the other, and none for every third."""
    places = torch.arange(count)
    return torch.where(places % 3 == 2, math.nan, (places % 2).double())[:, None]
