"""The data set that a config names.

The model that a config describes.

What trains a model: the objective, the schedules, the optimizer, and the first state.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn

from vae_cli.data.catalogue import open_dataset
from vae_cli.data.dataset import Dataset, PictureRules, Progress, TableRules
from vae_cli.data.source import BACKGROUNDS, CHANNELS, find_source
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import ColumnStatistics
from vae_cli.data.value_range import parse_range
from vae_cli.model import (
    PRESETS,
    VAE,
    Bernoulli,
    Capacity,
    Codec,
    ColumnGaussian,
    ConvDecoder,
    ConvEncoder,
    DiscretizedLogistic,
    ImageCodec,
    InfoVAE,
    JointDecoder,
    JointEncoder,
    LadderVAE,
    Laplace,
    LatentModel,
    Likelihood,
    MixtureOfNormals,
    MLPDecoder,
    MLPEncoder,
    NegativeDReG,
    NegativeELBO,
    NegativeIWAE,
    Objective,
    Prior,
    RealNVP,
    Rung,
    SharedGaussian,
    SquaredError,
    StandardNormal,
    TableCodec,
    TotalCorrelation,
    TwoLevelVAE,
    VampPrior,
    plan,
)
from vae_cli.noise import Noise
from vae_cli.settings import (
    Config,
    DataConfig,
    LikelihoodConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    PriorConfig,
)
from vae_cli.training import (
    Adam,
    AdaMax,
    Optimizer,
    Schedule,
    TrainState,
    clip_norm,
    constant,
    cosine,
    first_state,
    linear_warmup,
    no_warmup,
    normalize_each,
    unchanged,
    warmup_share,
)


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
        test_fraction=config.test_fraction,
        pictures=PictureRules(
            image_size=config.image_size,
            channels=CHANNELS[config.channels],
            background=BACKGROUNDS[config.background],
            frames=config.frames,
            value_range=parse_range(config.range),
            version=config.rules,
        ),
        rules=TableRules(config.label, config.drop, config.missing),
        progress=progress,
    )


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU}
MAX_MEAN_ITEMS = 10_000  # of the training set, for the mean that the output bias starts from


def build_model(config: Config, shape: Sequence[int], codec: Codec | None = None) -> LatentModel:
    """An untrained model, with weights from torch's global random numbers.

    Args:
        config: its settings, without `auto`.
        shape: `(C, H, W)` of an image or `(D,)` of a row.
        codec: of its items; None is one for columns with mean 0 and standard deviation 1.
    """
    codec = codec or build_codec(config.likelihood, shape)
    likelihood = build_likelihood(config.likelihood, codec)
    if config.model.network == "hierarchical":
        return build_ladder(config, shape, likelihood, codec)
    if config.model.network == "two-level":
        return build_two_level(config, shape, likelihood, codec)
    encoder, decoder = build_networks(config.model, shape, likelihood.outputs_per_value)
    prior = build_prior(config.prior, shape, config.model.latent_dim, encoder)
    return VAE(encoder, decoder, likelihood, prior, codec)


def build_codec(
    config: LikelihoodConfig, shape: Sequence[int], statistics: ColumnStatistics | None = None
) -> Codec:
    """The way from the items of a data set to what the network takes.

    Args:
        config: says whether images are black and white.
        shape: `(C, H, W)` of an image or `(D,)` of a row.
        statistics: of the columns of a table; None is mean 0 and standard deviation 1.
    """
    if len(shape) > 1:
        return ImageCodec(is_stochastic=config.name == "binarized")
    return TableCodec(*(statistics or (torch.zeros(*shape), torch.ones(*shape))))


def build_ladder(
    config: Config, shape: Sequence[int], likelihood: Likelihood, codec: Codec
) -> LadderVAE:
    """A model with several levels of latents, for images of `(C, H, W)`."""
    model = config.model
    sizes = plan(shape, PRESETS[model.preset], ACTIVATIONS[model.activation])
    encoder = ConvEncoder(sizes, model.latent_dim, bounded=model.bounded)
    decoder = ConvDecoder(sizes, model.latent_dim, likelihood.outputs_per_value)
    stages = divide_levels(model.levels - 1, len(sizes.widths))
    rungs = [Rung(sizes, stage, model.level_channels) for stage in stages]
    prior = build_prior(config.prior, shape, model.latent_dim, encoder)
    return LadderVAE(encoder, decoder, rungs, likelihood, prior, codec)


def build_two_level(
    config: Config, shape: Sequence[int], likelihood: Likelihood, codec: Codec
) -> TwoLevelVAE:
    """A fully connected model with two levels of latents."""
    model = config.model
    sizes = (model.hidden, model.latent_dim, ACTIVATIONS[model.activation])
    top_down = (model.hidden[::-1], *sizes[1:])
    gated, bounded = model.gated, model.bounded
    encoder = MLPEncoder(shape, *sizes, gated=gated, bounded=bounded)
    lower_encoder = JointEncoder(shape, *sizes, gated=gated, bounded=bounded)
    lower_prior = MLPEncoder([model.latent_dim], *top_down, gated=gated, bounded=bounded)
    outputs = (shape[0] * likelihood.outputs_per_value, *shape[1:])
    decoder = JointDecoder(outputs, *sizes, gated=gated)
    prior = build_prior(config.prior, shape, model.latent_dim, encoder)
    return TwoLevelVAE(encoder, lower_encoder, lower_prior, decoder, likelihood, prior, codec)


def divide_levels(levels: int, stages: int) -> list[int]:
    """The stage of each level, from coarse to fine; the coarser ones get what does not divide."""
    return sorted(level % stages for level in range(levels))


def build_networks(
    config: ModelConfig, shape: Sequence[int], outputs_per_value: int
) -> tuple[nn.Module, nn.Module]:
    """The encoder, and a decoder with so many raw outputs for each pixel or column."""
    activation = ACTIVATIONS[config.activation]
    if config.network == "conv":
        sizes = plan(shape, PRESETS[config.preset], activation)
        return (
            ConvEncoder(sizes, config.latent_dim, bounded=config.bounded),
            ConvDecoder(sizes, config.latent_dim, outputs_per_value),
        )
    hidden, latent_dim, gated = config.hidden, config.latent_dim, config.gated
    outputs = (shape[0] * outputs_per_value, *shape[1:])
    return (
        MLPEncoder(shape, hidden, latent_dim, activation, gated=gated, bounded=config.bounded),
        MLPDecoder(outputs, hidden, latent_dim, activation, gated=gated),
    )


def build_likelihood(config: LikelihoodConfig, codec: Codec) -> Likelihood:
    """What the raw outputs of a decoder mean; rows of a table have only one likelihood."""
    if isinstance(codec, TableCodec):
        return ColumnGaussian(codec.changes)
    match config.name:
        case "gaussian":
            sigma = config.sigma if config.scale == "fixed" else None
            return SharedGaussian(is_optimal=config.scale == "optimal", sigma=sigma)
        case "bernoulli" | "binarized":
            return Bernoulli(is_binary=config.name == "binarized")
        case "laplace":
            return Laplace()
        case "logistic":
            return DiscretizedLogistic(config.components)
    return SquaredError()


def build_prior(
    config: PriorConfig, shape: Sequence[int], latent_dim: int, encoder: nn.Module
) -> Prior:
    """The prior of the latents that an encoder makes."""
    match config.name:
        case "vamp":
            start, is_image = torch.rand(config.components, *shape), len(shape) > 1
            return VampPrior(encoder.forward, start, latent_dim, is_image=is_image)
        case "mog":
            return MixtureOfNormals(latent_dim, config.components)
        case "realnvp":
            return RealNVP(latent_dim, config.layers, config.hidden)
    return StandardNormal(latent_dim)


def build_on_meta(config: Config, shape: Sequence[int]) -> LatentModel:
    """The same model without memory for its weights, to check or measure its shapes."""
    with torch.device("meta"):
        return build_model(config, shape)


@torch.no_grad()
def initialize_from_data(model: LatentModel, config: Config, train: InMemory) -> None:
    """Set what starts from the training set: the output bias, and the pseudo-inputs.

    Args:
        model: an untrained model, on the device of the data.
        config: says what starts from the data.
        train: the training set.
    """
    generator = Generator().manual_seed(config.training.seed)
    order = torch.randperm(len(train), generator=generator).to(train.rows.device)
    if config.model.output_bias == "data":
        mean = mean_item(train, train.rows[order[:MAX_MEAN_ITEMS]])
        assert isinstance(model, VAE | LadderVAE | TwoLevelVAE)
        assert isinstance(model.decoder, MLPDecoder | ConvDecoder | JointDecoder)
        model.decoder.set_output_bias(model.likelihood.outputs_for(mean))
    if isinstance(model.prior, VampPrior):
        inputs = model.prior.pseudo_inputs
        inputs.copy_(train.network_input(train.rows[order[: len(inputs)]]))


def mean_item(split: InMemory, rows: Tensor) -> Tensor:
    """The mean of some items as a network takes them."""
    return torch.stack([x.sum(0) for x in split.chunks(rows, 1)]).sum(0) / len(rows)


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
    codec: Codec | None = None,
    train: InMemory | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> TrainState:
    """A state before its first step, on the device; the seed decides every number in it.

    Args:
        config: the settings, without `auto`.
        shape: of an item.
        device: where to train.
        codec: of the items; the model has the same one.
        train: the training set on the device, for what starts from the data.
        weights: of another run, to start from instead.
    """
    with torch.random.fork_rng(devices=[]):  # the weights are the same on every device
        torch.default_generator.manual_seed(config.training.seed)
        model = build_model(config, shape, codec)
    model.to(device).to(memory_format=torch.channels_last)  # convolutions are 1.5 times as fast
    if weights is not None:
        model.load_state_dict(weights, strict=False)  # the scaling of columns is that of the data
    elif train is not None:
        initialize_from_data(model, config, train)
    return _state_of(model, config, Noise(config.training.seed, device))


def plan_state(config: Config, shape: Sequence[int]) -> TrainState:
    """The same state without memory for its tensors, to know their names, shapes and types."""
    return _state_of(build_on_meta(config, shape), config, Noise(None))


def _state_of(model: LatentModel, config: Config, noise: Noise) -> TrainState:
    objective = build_objective(config.objective).to(model.device)
    make_optimizer = partial(build_optimizer, config.optimizer)
    return first_state(model, objective, make_optimizer, noise, config.optimizer.ema)
