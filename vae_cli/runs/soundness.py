"""Whether the tensors of a checkpoint are those of a training of its config: checked once, first.

The training state of the config is built without memory, and every tensor of the file is compared
with it by name, shape and type, then by value. What uses the tensors afterwards checks nothing.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vae_cli.build import build_objective, plan_state
from vae_cli.errors import VAEError
from vae_cli.model import LatentModel
from vae_cli.runs.checkpoint import Checkpoint
from vae_cli.runs.facts import Facts
from vae_cli.training import TrainState
from vae_cli.training.state import TOTALS

STATE, GENERATOR, KL = "state.", "state.generator", "kl_by_dim"
Kinds = dict[str, tuple[torch.dtype, tuple[int, ...]]]


def require_sound(
    checkpoint: Checkpoint, facts: Facts, source: Path, *, with_kl: bool
) -> LatentModel:
    """Check that every tensor of a checkpoint is what a training of its config would have saved.

    Args:
        checkpoint: what was read.
        facts: its facts, validated.
        source: the file, for the error message.
        with_kl: whether the KL of each dimension belongs to it, as to the best weights.

    Returns:
        The model of the config, without memory; the checkpoint's weights fit into it.

    Raises:
        VAEError: a tensor is missing or too many, has another shape or type, or impossible values;
            the message names the first.
    """
    state = plan(facts, source)
    expected = expected_kinds(state, facts, checkpoint.tensors)
    if with_kl:
        expected[KL] = torch.float32, (state.model.latent_dim,)
    problem = find_misfit(checkpoint.tensors, expected) or find_impossible(checkpoint.tensors)
    if problem:
        raise VAEError(f"{source} is damaged: {problem}")
    return state.model


def plan(facts: Facts, source: Path) -> TrainState:
    """The training state of a checkpoint's config, without memory.

    Raises:
        VAEError: there is none, because the config does not fit the items.
    """
    try:
        return plan_state(facts.config, facts.data.shape)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise VAEError(f"{source} is damaged: its config fits no network: {reason}") from error


def expected_kinds(state: TrainState, facts: Facts, found: Mapping[str, Tensor]) -> Kinds:
    """The type and shape of each tensor of a state, by name.

    There are either all totals or none, as before the first step. The state of a random generator
    has as many bytes as its device needs.
    """
    kinds = {f"{STATE}{name}": (t.dtype, tuple(t.shape)) for name, t in state.tensors().items()}
    if any(name.startswith(f"{STATE}{TOTALS}") for name in found):
        terms = (*build_objective(facts.config.objective).terms, state.model.likelihood.figure)
        kinds |= {f"{STATE}{TOTALS}{name}": (torch.float32, ()) for name in ("loss", *terms)}
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
        is_optimizer = name.startswith(f"{STATE}optimizer.") and name.endswith((".v", ".t"))
        is_positive = is_optimizer or name in {f"{STATE}average_t", f"{STATE}model.columns.std"}
        if is_positive and (tensor < 0).any():
            return f"{name} has negative values"
    return None


def describe(dtype: torch.dtype, shape: tuple[int, ...]) -> str:
    """A type and a shape as in `float32 of 784x400`."""
    sides = "x".join(map(str, shape)) or "one number"
    return f"{str(dtype).removeprefix('torch.')} of {sides}"
