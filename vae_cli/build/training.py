"""What trains a model: the objective, the schedules, the optimizer, and the first state."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn

from vae_cli.build.model import build_model, build_on_meta, initialize_from_data
from vae_cli.config import Config, ObjectiveConfig, OptimizerConfig
from vae_cli.data.dataset import Split
from vae_cli.data.statistics import ColumnStatistics
from vae_cli.model import (
    Capacity,
    InfoVAE,
    LatentModel,
    NegativeDReG,
    NegativeELBO,
    NegativeIWAE,
    Objective,
    TotalCorrelation,
)
from vae_cli.training import (
    Adam,
    AdaMax,
    Optimizer,
    Schedule,
    TrainState,
    WeightAverage,
    clip_norm,
    constant,
    cosine,
    linear_warmup,
    no_warmup,
    normalize_each,
    unchanged,
    warmup_share,
)

CONVOLUTIONAL_WARMUP = 25  # steps at least; docs/figures.md has losses with more and fewer


def build_objective(config: ObjectiveConfig) -> Objective:  # noqa: PLR0911  one for each
    """What is minimized."""
    match config.name:
        case "capacity":
            return Capacity(config.capacity, config.gamma)
        case "iwae":
            return NegativeIWAE(config.samples)
        case "miwae":
            return NegativeIWAE(config.samples, config.groups)
        case "dreg":
            return NegativeDReG(config.samples)
        case "tc":
            return TotalCorrelation(config.beta)
        case "mmd":
            return InfoVAE(config.alpha, config.mmd_weight)
    return NegativeELBO(config.beta, config.free_bits, by_level=config.free_bits_by == "level")


def build_schedule(config: Config, total_steps: int) -> Schedule:
    """The learning rate as a function of the step; in `config`, the network is not `auto`."""
    optimizer = config.optimizer
    schedule = {"constant": constant, "cosine": cosine}[optimizer.schedule]
    if optimizer.warmup == "auto":
        is_convolutional = config.model.network in {"conv", "hierarchical"}
        share = warmup_share(total_steps, CONVOLUTIONAL_WARMUP if is_convolutional else 0)
    else:
        share = optimizer.warmup
    return schedule(optimizer.learning_rate, total_steps, share)


def build_warmup(config: ObjectiveConfig, steps_per_epoch: int) -> Schedule:
    """The warm-up of the objective as a function of the step."""
    if config.warmup_epochs == 0:
        return no_warmup
    return linear_warmup(config.warmup_epochs * steps_per_epoch, config.warmup_cycles)


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> Optimizer:
    """The optimizer of a model's parameters."""
    parameters = dict(model.named_parameters())
    clip = partial(clip_norm, max_norm=config.clip_norm) if config.clip_norm else unchanged
    match config.name:
        case "adamw":
            return Adam(parameters, config.weight_decay, clip)
        case "adamax":
            return AdaMax(parameters, clip)
        case "normgrad":
            return Adam(parameters, transform=normalize_each)
    return Adam(parameters, transform=clip)


def build_state(
    config: Config,
    shape: Sequence[int],
    device: torch.device,
    statistics: ColumnStatistics | None = None,
    train: Split | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> TrainState:
    """A state before its first step, on the device; the seed decides every number in it.

    Args:
        config: the settings, without `auto`.
        shape: of an item.
        device: where to train.
        statistics: of the columns of a table.
        train: the training set on the device, for what starts from the data.
        weights: of another run, to start from instead.
    """
    with torch.random.fork_rng(devices=[]):  # the weights are the same on every device
        torch.default_generator.manual_seed(config.training.seed)
        model = build_model(config, shape, statistics)
    model.to(device).to(memory_format=torch.channels_last)  # convolutions are 1.5 times as fast
    if weights is not None:
        model.load_state_dict(weights, strict=False)  # the scaling of columns is that of the data
    elif train is not None:
        initialize_from_data(model, config, train)
    return _state_of(model, config.optimizer, Generator(device).manual_seed(config.training.seed))


def plan_state(config: Config, shape: Sequence[int]) -> TrainState:
    """The same state without memory for its tensors, to know their names, shapes and types."""
    return _state_of(build_on_meta(config, shape), config.optimizer, Generator())


def _state_of(model: LatentModel, config: OptimizerConfig, generator: Generator) -> TrainState:
    optimizer = build_optimizer(config, model)
    average = WeightAverage(optimizer.parameters, config.ema) if config.ema else None
    return TrainState(model, optimizer, generator, average=average)
