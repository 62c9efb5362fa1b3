"""The one place where a config becomes objects; no other code chooses by a string."""

from collections.abc import Sequence

import torch
from torch import Generator

from vae_cli.adam import Adam
from vae_cli.config import Config, ModelConfig, ObjectiveConfig, OptimizerConfig
from vae_cli.data import Dataset, FashionMNIST
from vae_cli.model import VAE, MLPDecoder, MLPEncoder
from vae_cli.objectives import ELBO
from vae_cli.training import Schedule, TrainState, constant, cosine


def dataset(name: str) -> Dataset:
    """The data set that `--data` names."""
    return {FashionMNIST.name: FashionMNIST}[name]()


def model(config: ModelConfig, shape: Sequence[int]) -> VAE:
    """An untrained network for images of `(C, H, W)`, from torch's global random numbers."""
    return VAE(
        MLPEncoder(shape, config.hidden, config.latent_dim),
        MLPDecoder(shape, config.hidden, config.latent_dim),
        config.latent_dim,
    )


def objective(config: ObjectiveConfig) -> ELBO:
    """What is minimised."""
    return ELBO(config.beta)


def learning_rate(config: OptimizerConfig, total_steps: int) -> Schedule:
    """The learning rate of each step."""
    course = {"constant": constant, "cosine": cosine}[config.schedule]
    return course(config.learning_rate, total_steps, config.warmup)


def state(config: Config, shape: Sequence[int], device: torch.device) -> TrainState:
    """A model before its first step, on the device; the seed decides every number in it."""
    with torch.random.fork_rng(devices=[]):  # the same weights on every device
        torch.default_generator.manual_seed(config.training.seed)
        network = model(config.model, shape).to(device)
    generator = Generator(device).manual_seed(config.training.seed)
    return TrainState(network, Adam(dict(network.named_parameters())), generator)
