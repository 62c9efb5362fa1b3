"""The one place where a config becomes objects; no other code chooses by a string."""

import dataclasses
import difflib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Generator

from vae_cli import images
from vae_cli.adam import Adam
from vae_cli.config import Config, DataConfig, ModelConfig, ObjectiveConfig, OptimizerConfig
from vae_cli.data import Dataset, FashionMNIST, Progress, Spec
from vae_cli.errors import UsageError
from vae_cli.model import (
    PRESETS,
    VAE,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    Moments,
    VectorDecoder,
    VectorEncoder,
    plan,
)
from vae_cli.objectives import ELBO
from vae_cli.training import Schedule, TrainState, constant, cosine

CHANNELS = {"auto": 0, "grey": 1, "rgb": 3}
SMALL_GREY = (1, 28, 28)  # what the article's network was made for
SIDES = range(16, 257)  # pixels, of what a convolutional network takes


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def dataset(
    config: DataConfig, progress: Progress = silent, *, like: Spec | None = None
) -> Dataset:
    """The data set that `--data` names, a file, or a folder of pictures.

    Args:
        config: what is asked for.
        progress: called with the pictures decoded so far, and all, where some must be decoded.
        like: what a model learned, to which pictures and columns are fitted.

    Raises:
        UsageError: there is no such thing, or it cannot be used.
        VAEError: the cache cannot be written, or a download fails.
    """
    from vae_cli.data import arrays, shapes, table  # each costs its imports only where it is used

    fraction, path = config.test_fraction, Path(config.name)
    is_folder = os.path.isdir(path)  # noqa: PTH112  Path.is_dir raises where a name is too long
    made_here = {FashionMNIST.spec.name, shapes.Shapes.spec.name}
    files = {*table.SUFFIXES, *arrays.SUFFIXES}
    if not (is_folder or config.name in made_here or path.suffix.lower() in files):
        _check_downloadable(config.name, "" if like else "--data ")
    if not is_folder and (config.image_size or config.channels != "auto"):
        raise UsageError(f"--image-size and --channels are for folders, not {config.name}")
    if config.name == FashionMNIST.spec.name:
        return FashionMNIST()
    if config.name == shapes.Shapes.spec.name:
        return shapes.Shapes(test_fraction=fraction)
    if is_folder:
        from vae_cli.data.folder import PictureFolder

        return PictureFolder(
            path,
            image_size=config.image_size,
            channels=CHANNELS[config.channels],
            like=like,
            test_fraction=fraction,
            progress=progress,
        )
    if path.suffix.lower() in table.SUFFIXES:
        return table.Table(path, like=like, test_fraction=fraction)
    if path.suffix.lower() in arrays.SUFFIXES:
        return arrays.Arrays(path, test_fraction=fraction)
    from vae_cli.data import downloads

    return downloads.Downloaded(config.name, progress=progress)


def _check_downloadable(name: str, flag: str) -> None:
    """Refuse a name that is no data set, and say what could have been meant.

    Raises:
        UsageError: it is none.
    """
    from vae_cli.data import arrays, downloads, shapes, table

    if name in downloads.SOURCES:
        return
    path = Path(name)
    if os.path.exists(path):  # noqa: PTH110  Path.exists raises where a name is too long
        if path.suffix.lower() in images.SUFFIXES:
            raise UsageError(f"{flag}{name} is one picture: name the folder in which it lies")
        kinds = ", ".join((*arrays.SUFFIXES, *table.SUFFIXES))
        raise UsageError(f"{flag}{name} is no folder, and no file that can be read: {kinds}")
    named = [FashionMNIST.spec.name, shapes.Shapes.spec.name, *downloads.SOURCES]
    beside: list[str] = []
    with suppress(OSError, ValueError):
        beside = [str(path.with_name(other)) for other in os.listdir(path.parent)]  # noqa: PTH208
    near = difflib.get_close_matches(name.rstrip("/"), named + beside, 1)
    hint = f"did you mean {near[0]}?" if near else f"data sets are {', '.join(named)}"
    raise UsageError(f"{flag}{name}: no such folder, file or data set; {hint}")


def fitted(name: str, spec: Spec, progress: Progress = silent) -> Dataset:
    """Data for a model that learned others, undivided unless they come in two parts.

    Args:
        name: a data set's name, a file, or a folder of pictures.
        spec: what the model learned; pictures and columns are fitted to it.
        progress: called with the pictures decoded so far, and all, where some must be decoded.

    Raises:
        UsageError: there is no such thing, or its items have another shape.
        VAEError: the cache cannot be written, or a download fails.
    """
    from vae_cli.data import table

    suffix = Path(name).suffix.lower()
    if os.path.isdir(name):  # noqa: PTH112
        if not spec.is_image:
            raise UsageError(f"{name} is a folder, but {spec.name} is of vectors")
    elif suffix in table.SUFFIXES and spec.is_image:
        raise UsageError(f"{name} is a table, but {spec.name} is of images")
    found = dataset(DataConfig(name=name, test_fraction=0.0), progress, like=spec)
    if found.spec.shape != spec.shape:
        given, learned = ("x".join(map(str, some.shape)) for some in (found.spec, spec))
        raise UsageError(f"{name} holds items of {given}, but {spec.name} is of {learned}")
    return found


def located(config: Config) -> Config:
    """The config with the whole path of a file or folder, so that it is found from anywhere."""
    path = Path(config.data.name)
    if config.data.name == FashionMNIST.spec.name or not os.path.exists(path):  # noqa: PTH110
        return config
    return dataclasses.replace(
        config, data=dataclasses.replace(config.data, name=str(path.resolve()))
    )


def settle(config: Config, shape: Sequence[int]) -> Config:
    """The config with the network that suits items of a shape in place of `auto`.

    Raises:
        UsageError: the network that is asked for does not take them, or not a setting of its own.
    """
    name = config.model.network
    if name == "auto":
        fits = len(shape) == 1 or tuple(shape) == SMALL_GREY
        small = min(shape[1:], default=0) < SIDES[0] or max(shape[1:], default=0) > SIDES[-1]
        name = "mlp" if fits or small else "conv"
    elif name == "conv" and (len(shape) == 1 or not all(side in SIDES for side in shape[1:])):
        what = "vectors" if len(shape) == 1 else f"images of {shape[1]}x{shape[2]}"
        raise UsageError(f"--model conv takes images from 16x16 to 256x256, not {what}: try mlp")
    plain = ModelConfig()
    if name == "mlp" and config.model.preset != plain.preset:
        raise UsageError("--preset is for --model conv: leave it out, or use --hidden")
    if name == "conv" and config.model.hidden != plain.hidden:
        raise UsageError("--hidden is for --model mlp: leave it out, or use --preset")
    return dataclasses.replace(config, model=dataclasses.replace(config.model, network=name))


def model(config: ModelConfig, shape: Sequence[int], columns: Moments | None = None) -> VAE:
    """An untrained network, from torch's global random numbers.

    Args:
        config: its sizes.
        shape: `(C, H, W)` of an image or `(D,)` of a vector.
        columns: mean and standard deviation of a vector's columns; None is 0 and 1.
    """
    encoder: torch.nn.Module
    decoder: torch.nn.Module
    if len(shape) == 1:
        known = columns or (torch.zeros(*shape), torch.ones(*shape))
        encoder = VectorEncoder(known, config.hidden, config.latent_dim)
        decoder = VectorDecoder(known, config.hidden, config.latent_dim)
    elif config.network == "conv":
        sizes = plan(shape, PRESETS[config.preset])
        encoder, decoder = (kind(sizes, config.latent_dim) for kind in (ConvEncoder, ConvDecoder))
    else:
        encoder = MLPEncoder(shape, config.hidden, config.latent_dim)
        decoder = MLPDecoder(shape, config.hidden, config.latent_dim)
    return VAE(encoder, decoder, config.latent_dim)


def objective(config: ObjectiveConfig) -> ELBO:
    """What is minimised."""
    return ELBO(config.beta)


def learning_rate(config: OptimizerConfig, total_steps: int) -> Schedule:
    """The learning rate of each step."""
    course = {"constant": constant, "cosine": cosine}[config.schedule]
    return course(config.learning_rate, total_steps, config.warmup)


def state(
    config: Config,
    shape: Sequence[int],
    device: torch.device,
    columns: Moments | None = None,
) -> TrainState:
    """A model before its first step, on the device; the seed decides every number in it."""
    with torch.random.fork_rng(devices=[]):  # the same weights on every device
        torch.default_generator.manual_seed(config.training.seed)
        network = model(config.model, shape, columns)
    network.to(device).to(memory_format=torch.channels_last)  # convolutions: 1.5 times as fast here
    generator = Generator(device).manual_seed(config.training.seed)
    return TrainState(network, Adam(dict(network.named_parameters())), generator)
