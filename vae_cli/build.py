"""The one module that constructs objects from a config."""

from collections.abc import Sequence

import torch
from torch import Generator, nn

from vae_cli.config import Config, DataConfig, ModelConfig, ObjectiveConfig, OptimizerConfig
from vae_cli.data.catalogue import find_source, open_dataset
from vae_cli.data.dataset import Dataset, Progress, TableRules
from vae_cli.data.statistics import ColumnStatistics
from vae_cli.model import (
    PRESETS,
    VAE,
    ColumnScaling,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    NegativeELBO,
    Objective,
    VectorDecoder,
    plan,
)
from vae_cli.training import Adam, Schedule, TrainState, constant, cosine


def build_dataset(config: DataConfig, progress: Progress, flag: str) -> Dataset:
    """Open the data.

    Args:
        config: what to open.
        progress: called with the number of pictures decoded so far and the total.
        flag: the option that named the data, for error messages.

    Raises:
        UsageError: there are no such data, or they cannot be used.
        VAEError: a download fails, or the cache cannot be written.
    """
    return open_dataset(
        find_source(config.name, flag),
        image_size=config.image_size,
        channels=config.channels,
        test_fraction=config.test_fraction,
        rules=TableRules(config.label, config.drop, config.missing),
        progress=progress,
    )


def build_model(
    config: ModelConfig, shape: Sequence[int], statistics: ColumnStatistics | None = None
) -> VAE:
    """An untrained model, with weights from torch's global random numbers.

    Args:
        config: its sizes; the network must not be `auto`.
        shape: `(C, H, W)` of an image or `(D,)` of a row.
        statistics: of the columns of a table; None is mean 0 and standard deviation 1.
    """
    encoder: nn.Module
    decoder: nn.Module
    columns = None
    if len(shape) == 1:
        mean, std = statistics or ColumnStatistics(torch.zeros(*shape), torch.ones(*shape))
        columns = ColumnScaling(mean, std)
        encoder = MLPEncoder(shape, config.hidden, config.latent_dim)
        decoder = VectorDecoder(std > 0, config.hidden, config.latent_dim)
    elif config.network == "conv":
        sizes = plan(shape, PRESETS[config.preset])
        encoder = ConvEncoder(sizes, config.latent_dim)
        decoder = ConvDecoder(sizes, config.latent_dim)
    else:
        encoder = MLPEncoder(shape, config.hidden, config.latent_dim)
        decoder = MLPDecoder(shape, config.hidden, config.latent_dim)
    return VAE(encoder, decoder, config.latent_dim, columns)


def build_on_meta(config: ModelConfig, shape: Sequence[int]) -> VAE:
    """The same model without memory for its weights, to check or measure its shapes."""
    with torch.device("meta"):
        return build_model(config, shape)


def build_objective(config: ObjectiveConfig) -> Objective:
    """What is minimized."""
    return NegativeELBO(config.beta)


def build_schedule(config: OptimizerConfig, total_steps: int) -> Schedule:
    """The learning rate as a function of the step."""
    schedule = {"constant": constant, "cosine": cosine}[config.schedule]
    return schedule(config.learning_rate, total_steps, config.warmup)


def build_state(
    config: Config,
    shape: Sequence[int],
    device: torch.device,
    statistics: ColumnStatistics | None = None,
) -> TrainState:
    """A state before its first step, on the device; the seed decides every number in it."""
    with torch.random.fork_rng(devices=[]):  # the weights are the same on every device
        torch.default_generator.manual_seed(config.training.seed)
        model = build_model(config.model, shape, statistics)
    model.to(device).to(memory_format=torch.channels_last)  # convolutions are 1.5 times as fast
    generator = Generator(device).manual_seed(config.training.seed)
    return TrainState(model, Adam(dict(model.named_parameters())), generator)
