"""Reading a checkpoint: a model to use, or a state to resume. Everything is checked first."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from torch import Tensor

from vae_cli.build import build_on_meta
from vae_cli.config import Config, differences, merge
from vae_cli.data.catalogue import find_source
from vae_cli.data.dataset import Spec
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.errors import UsageError, VAEError
from vae_cli.model import VAE
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, matches
from vae_cli.runs.directory import Run

MAX_SIDE = 100_000  # columns of a row, or pixels of an edge
RESUME_MAY_CHANGE = {"training.epochs", "training.device", "training.save_every"}
_SPEC = TypeAdapter(Spec)


class LoadedModel(NamedTuple):
    """The best weights of a run, and what is known about them.

    Attributes:
        model: on the CPU.
        spec: what its items are.
        config: the settings of the run.
        kl_by_dim: KL of each latent dimension on the test set, in nats, `(D,)`.
        epoch: the epoch after which the weights were saved.
    """

    model: VAE
    spec: Spec
    config: Config
    kl_by_dim: Tensor
    epoch: int


def load_model(run: Run) -> LoadedModel:
    """Load the best weights of a run.

    Raises:
        VAEError: there are no weights, they are damaged, or they do not fit their config.
    """
    checkpoint = load_checkpoint(run.best)
    weights = checkpoint.group("state.model")
    try:
        config = merge(("its config", checkpoint.facts["config"]))
        spec = read_spec(checkpoint)
        model = build_on_meta(config.model, spec.shape)
        kl_by_dim = checkpoint.tensors["kl_by_dim"]
        epoch = int(checkpoint.facts["epoch"])
    except KeyError as error:
        raise VAEError(f"{run.best} lacks {error}: it is not a checkpoint of a model") from error
    except (UsageError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise VAEError(f"{run.best} is damaged: {_first_line(error)}") from error
    if not matches(weights, model):
        raise VAEError(f"the weights in {run.best} do not fit the config in it")
    if kl_by_dim.shape != (model.latent_dim,):
        raise VAEError(f"the KL in {run.best} does not fit its {model.latent_dim} dimensions")
    if not all(tensor.isfinite().all() for tensor in (kl_by_dim, *weights.values())):
        raise VAEError(f"the weights in {run.best} are not finite numbers")
    model.load_state_dict(weights, assign=True)
    return LoadedModel(model, spec, config, kl_by_dim, epoch)


def load_for_resume(
    run: Run, typed: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[Checkpoint, Config]:
    """Load the last state of a run, and its settings with those typed settings that may change.

    Raises:
        UsageError: a typed setting differs from the run's and may not change.
        VAEError: the checkpoint is missing or damaged.
    """
    checkpoint = load_checkpoint(run.last)
    try:
        base = ("its config", checkpoint.facts["config"])
        own = merge(base)
        spec = read_spec(checkpoint)
    except (KeyError, OverflowError, TypeError, ValueError, UsageError) as error:
        raise VAEError(f"{run.last} is damaged: {_first_line(error)}") from error
    wanted = merge(base, *typed)
    name = find_source(wanted.data.name, "--data").absolute_name
    wanted = dataclasses.replace(wanted, data=dataclasses.replace(wanted.data, name=name))
    changes = [c for c in differences(own, wanted) if c.key not in RESUME_MAY_CHANGE]
    if changes:
        listed = ", ".join(f"{c.key} is {c.before}, not {c.after}" for c in changes)
        raise UsageError(f"run {run.name} cannot go on with other settings: {listed}")
    if wanted.training.epochs < own.training.epochs:
        raise UsageError(
            f"--epochs: run {run.name} has {own.training.epochs}; it can only be raised"
        )
    if not matches(checkpoint.group("state.model"), build_on_meta(wanted.model, spec.shape)):
        raise VAEError(f"the weights in {run.last} do not fit the config in it")
    return checkpoint, wanted


def read_spec(checkpoint: Checkpoint) -> Spec:
    """What the items of a checkpoint's model are; Fashion-MNIST's if it does not say.

    Raises:
        ValueError: it is malformed.
    """
    if "data" not in checkpoint.facts:
        return FashionMNIST.spec
    spec = _SPEC.validate_json(json.dumps(checkpoint.facts["data"]), strict=True)
    if len(spec.shape) not in {1, 3} or not all(0 < side <= MAX_SIDE for side in spec.shape):
        raise ValueError(f"items of {spec.shape}")
    return spec


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
