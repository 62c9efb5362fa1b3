"""Reading a model from a checkpoint, whose tensors are checked once and first.

The training state of the config is built without memory, and every tensor of the file is compared
with it by name, shape and type, then by value. What uses the tensors afterwards checks nothing.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vae_cli.errors import VAEError
from vae_cli.model import LatentModel
from vae_cli.runs.checkpoint import NOT_A_HEADER, Checkpoint, load_checkpoint, read_metadata
from vae_cli.runs.directory import Run
from vae_cli.runs.facts import Facts, parse_facts
from vae_cli.runs.origin import is_signed
from vae_cli.runs.upgrade import upgrade_facts
from vae_cli.training import TrainState

STATE, GENERATOR, KL = "state.", "state.generator", "kl_by_dim"
Kinds = dict[str, tuple[torch.dtype, tuple[int, ...]]]


def require_sound_weights(checkpoint: Checkpoint, facts: Facts, source: Path) -> LatentModel:
    """Check that the tensors of a checkpoint are the weights of a model of its config.

    The KL of each dimension may be there too, which is known for some posteriors.

    Args:
        checkpoint: what was read.
        facts: its facts, validated.
        source: the file, for the error message.

    Returns:
        The model of the config, without memory; the checkpoint's weights fit into it.

    Raises:
        VAEError: a tensor is missing or too many, has another shape or type, or impossible values;
            the message names the first.
    """
    with explained_plan(source):
        model = facts.config.build_on_meta(facts.data)
    expected = kinds_of(f"{STATE}model.", model.state_dict())
    if KL in checkpoint.tensors:
        expected[KL] = torch.float32, (model.latent_dim,)
    require_expected(checkpoint.tensors, expected, source)
    return model


def require_sound_state(checkpoint: Checkpoint, facts: Facts, source: Path) -> None:
    """Check that every tensor of a checkpoint is what a training of its config would have saved.

    Raises:
        VAEError: as in `require_sound_weights`.
    """
    if facts.progress is None:
        raise VAEError(f"{source} is damaged: progress is missing")
    with explained_plan(source):
        state = facts.config.build_state_on_meta(facts.data)
    expected = expected_kinds(state, facts, checkpoint.tensors)
    require_expected(checkpoint.tensors, expected, source)


@contextmanager
def explained_plan(source: Path) -> Iterator[None]:
    """Say which checkpoint has a config of which nothing can be built.

    Raises:
        VAEError: the config does not fit the items.
    """
    try:
        yield
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise VAEError(f"{source} is damaged: its config fits no network: {reason}") from error


def require_expected(tensors: Mapping[str, Tensor], expected: Kinds, source: Path) -> None:
    """Check tensors by name, type and shape, then by value.

    Raises:
        VAEError: one is missing or too many, has another shape or type, or impossible values.
    """
    problem = find_misfit(tensors, expected) or find_impossible(tensors)
    if problem:
        raise VAEError(f"{source} is damaged: {problem}")


def kinds_of(start: str, tensors: Mapping[str, Tensor]) -> Kinds:
    """The type and shape of tensors by name, with a beginning that all names get."""
    return {f"{start}{name}": (t.dtype, tuple(t.shape)) for name, t in tensors.items()}


def expected_kinds(state: TrainState, facts: Facts, found: Mapping[str, Tensor]) -> Kinds:
    """The type and shape of each tensor of a state, by name.

    The state of a random generator has as many bytes as its device needs.
    """
    kinds = kinds_of(STATE, state.tensors())
    generator = found.get(GENERATOR)
    if facts.config.training.device != "cpu" and generator is not None and generator.ndim == 1:
        kinds[GENERATOR] = torch.uint8, tuple(generator.shape)
    return kinds


def find_misfit(tensors: Mapping[str, Tensor], expected: Kinds) -> str | None:
    """What is wrong with the first tensor that is not as expected; None if all are."""
    for name, (dtype, shape) in expected.items():
        if name not in tensors:
            return f"{name} is missing, which its config needs"
        found = tensors[name].dtype, tuple(tensors[name].shape)
        if found != (dtype, shape):
            return f"{name} is {describe(*found)}, but {describe(dtype, shape)} fits its config"
    extra = next((name for name in sorted(tensors) if name not in expected), None)
    return None if extra is None else f"{extra} does not fit its config"


def find_impossible(tensors: Mapping[str, Tensor]) -> str | None:
    """What is wrong with the first tensor whose values no training has; None if all are possible.

    All floats are finite. Deviations, the means of squares or of largest values, and the counts of
    steps are not negative.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        if not tensor.isfinite().all():
            return f"{name} has values that are not finite numbers"
        is_optimizer = name.startswith(f"{STATE}players.") and name.endswith((".v", ".t"))
        is_positive = is_optimizer or name in {
            f"{STATE}average_t",
            f"{STATE}model.codec.standard.std",
        }
        if is_positive and (tensor < 0).any():
            return f"{name} has negative values"
    return None


def describe(dtype: torch.dtype, shape: tuple[int, ...]) -> str:
    """A type and a shape as in `float32 of 784x400`."""
    sides = "x".join(map(str, shape)) or "one number"
    return f"{str(dtype).removeprefix('torch.')} of {sides}"


class LoadedModel(NamedTuple):
    """The best weights of a run, and what is known about them.

    Attributes:
        model: on the CPU.
        facts: of its training.
        kl_by_dim: KL of each latent dimension on the test set, in nats, `(D,)`; None if it is not
            known.
        weights_digest: SHA-256 of the weights.
    """

    model: LatentModel
    facts: Facts
    kl_by_dim: Tensor | None
    weights_digest: str


def load_model(run: Run) -> LoadedModel:
    """Load the best weights of a run.

    Raises:
        VAEError: there are no weights, or they are damaged.
    """
    checkpoint = load_checkpoint(run.best)
    facts = parse_facts(checkpoint.facts, run.best)
    model = require_sound_weights(checkpoint, facts, run.best)
    model.load_state_dict(checkpoint.group("state.model"), assign=True)
    return LoadedModel(model, facts, checkpoint.tensors.get(KL), checkpoint.weights_digest)


def read_facts(run: Run) -> Facts | None:
    """What the last checkpoint of a run says, without reading its tensors; None if there is none.

    Raises:
        VAEError: the checkpoint is damaged.
    """
    path = run.last if run.last.is_file() else run.best
    if not path.is_file():
        return None
    try:
        facts = upgrade_facts(json.loads(read_metadata(path)["vae"]))
    except NOT_A_HEADER as error:
        raise VAEError(f"{path} is damaged or not a checkpoint of vae") from error
    return parse_facts(facts, path)


def may_open_data(facts: Facts) -> bool:
    """Whether the data that a run names are built in, or chosen by this user, so may be opened."""
    return is_signed(facts.config.data.name, facts.origin)
