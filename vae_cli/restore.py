"""What a run's checkpoints hold, checked before it is used: a model, or a place to go on from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from vae_cli import build, checkpoint, config
from vae_cli.checkpoint import Checkpoint
from vae_cli.config import Config
from vae_cli.data import FashionMNIST, Spec
from vae_cli.errors import UsageError, VAEError
from vae_cli.model import VAE
from vae_cli.runs import Run

LONGEST = 100_000  # columns of a vector or pixels of an edge
MAY_CHANGE = {"training.epochs", "training.device", "training.save_every"}  # of a run that goes on
_SPEC = TypeAdapter(Spec)


def model(run: Run) -> tuple[VAE, Spec, Config, Tensor, int]:
    """The best weights of a run: its model, data, settings, KL by dimension `(D,)`, and epoch.

    Raises:
        VAEError: there are no weights, they are damaged, or they do not fit their config.
    """
    kept = checkpoint.load(run.best)
    weights = kept.group("state.model")
    try:
        settings = config.resolve(("its config", kept.facts["config"]))
        spec = read_spec(kept)
        network = _without_memory(settings, spec)
        kl = kept.tensors["kl_by_dim"]
        epoch = int(kept.facts["epoch"])
    except KeyError as error:
        raise VAEError(f"{run.best} lacks {error}: it is not a checkpoint of a model") from error
    except (UsageError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise VAEError(f"{run.best} is damaged: {_first_line(error)}") from error
    if not checkpoint.fits(weights, network):
        raise VAEError(f"the weights in {run.best} do not fit the config in it")
    if kl.shape != (network.latent_dim,):
        raise VAEError(f"the KL in {run.best} does not fit its {network.latent_dim} dimensions")
    if not all(tensor.isfinite().all() for tensor in (kl, *weights.values())):
        raise VAEError(f"the weights in {run.best} are not finite numbers")
    network.load_state_dict(weights, assign=True)
    return network, spec, settings, kl, epoch


def go_on(run: Run, typed: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Checkpoint, Config]:
    """The checkpoint at which a run stopped, and its settings with those typed that may change.

    Raises:
        UsageError: something was typed that differs from the run's and may not.
        VAEError: the checkpoint is missing or damaged.
    """
    kept = checkpoint.load(run.last)
    try:
        base = ("its config", kept.facts["config"])
        own = config.resolve(base)
        spec = read_spec(kept)
    except (KeyError, OverflowError, TypeError, ValueError, UsageError) as error:
        raise VAEError(f"{run.last} is damaged: {_first_line(error)}") from error
    wanted = build.located(config.resolve(base, *typed))
    changes = [c for c in config.differences(own, wanted) if c.key not in MAY_CHANGE]
    if changes:
        listed = ", ".join(f"{c.key} is {c.before}, not {c.after}" for c in changes)
        raise UsageError(f"run {run.name} cannot go on with other settings: {listed}")
    if wanted.training.epochs < own.training.epochs:
        raise UsageError(
            f"--epochs: run {run.name} has {own.training.epochs}; it can only be raised"
        )
    if not checkpoint.fits(kept.group("state.model"), _without_memory(wanted, spec)):
        raise VAEError(f"the weights in {run.last} do not fit the config in it")
    return kept, wanted


def read_spec(kept: Checkpoint) -> Spec:
    """What the items are that a checkpoint's model learned; without a word, Fashion-MNIST's.

    Raises:
        ValueError: it is malformed.
    """
    if "data" not in kept.facts:
        return FashionMNIST.spec
    spec = _SPEC.validate_json(json.dumps(kept.facts["data"]), strict=True)
    if len(spec.shape) not in {1, 3} or not all(0 < side <= LONGEST for side in spec.shape):
        raise ValueError(f"items of {spec.shape}")
    return spec


def _without_memory(settings: Config, spec: Spec) -> VAE:
    """The model of a config, shapes alone: nothing is allocated before they are checked."""
    with torch.device("meta"):
        return build.model(settings.model, spec.shape)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
