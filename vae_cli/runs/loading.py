"""Reading a checkpoint: a model to use, or a state to resume. Everything is checked first."""

import dataclasses
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from vae_cli.config import Config, differences, merge, to_dict
from vae_cli.data.catalogue import find_source, require_kind, require_present
from vae_cli.data.dataset import Spec
from vae_cli.errors import UsageError, VAEError
from vae_cli.model import LatentModel
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.facts import Facts, parse_facts
from vae_cli.runs.header import NOT_A_HEADER, read_metadata
from vae_cli.runs.origin import explain_distrust, is_trusted
from vae_cli.runs.soundness import KL, require_sound
from vae_cli.runs.upgrade import upgrade_facts

RESUME_MAY_CHANGE = {"training.epochs", "training.device", "training.save_every"}


class TrainedOn(NamedTuple):
    """What the data of a run were at its training.

    Attributes:
        counts: the numbers of items that it was trained on, and of those held out.
        digest: SHA-256 of both; empty if it is not known.
        stamp: of their files.
    """

    counts: tuple[int, int]
    digest: str
    stamp: str


class LoadedModel(NamedTuple):
    """The best weights of a run, and what is known about them.

    Attributes:
        model: on the CPU.
        spec: what its items are.
        config: the settings of the run.
        kl_by_dim: KL of each latent dimension on the test set, in nats, `(D,)`.
        epoch: the epoch after which the weights were saved.
        data_name: of its data; None if it is a path that this user has not chosen.
        trained_on: what its data were.
        weights_digest: SHA-256 of the weights.
        diverged: the epoch in which the training ended, because its loss was not finite; 0 if none.
    """

    model: LatentModel
    spec: Spec
    config: Config
    kl_by_dim: Tensor
    epoch: int
    data_name: str | None
    trained_on: TrainedOn
    weights_digest: str
    diverged: int


class SavedState(NamedTuple):
    """The last state of a run.

    Attributes:
        tensors: of the training state, by name.
        facts: the position, the metrics, and what the data were.
        digest: of the file that it was read from.
    """

    tensors: dict[str, Tensor]
    facts: Facts
    digest: str


def load_model(run: Run) -> LoadedModel:
    """Load the best weights of a run.

    Raises:
        VAEError: there are no weights, or they are damaged.
    """
    checkpoint = load_checkpoint(run.best)
    facts = parse_facts(checkpoint.facts, run.best)
    model = require_sound(checkpoint, facts, run.best, with_kl=True)
    kl_by_dim = checkpoint.tensors[KL]
    model.load_state_dict(checkpoint.group("state.model"), assign=True)
    name = facts.config.data.name if is_own(facts) else None
    return LoadedModel(
        model,
        facts.data,
        facts.config,
        kl_by_dim,
        facts.epoch,
        name,
        TrainedOn(facts.counts, facts.data_digest, facts.data_stamp),
        checkpoint.weights_digest,
        facts.diverged,
    )


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


def load_for_resume(
    run: Run, typed: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[SavedState, Config]:
    """Load the last state of a run, and its settings with those typed settings that may change.

    The data may be in another place, because their contents are compared when they are read.

    Raises:
        UsageError: a typed setting differs from the run's and may not change, or the run is a
            stranger's and the path of its data was not typed.
        VAEError: the checkpoint is missing or damaged.
    """
    checkpoint = load_checkpoint(run.last)
    facts = parse_facts(checkpoint.facts, run.last)
    own = facts.config
    require_own(run, own, typed, is_own=is_own(facts))
    wanted = merge(("its config", to_dict(own)), *typed)
    if wanted.data.name == own.data.name:
        require_present(own.data.name, f"run {run.name}: its data")
    source = find_source(wanted.data.name, "--data")
    require_kind(source, facts.data)
    data = dataclasses.replace(wanted.data, name=source.absolute_name)
    wanted = dataclasses.replace(wanted, data=data)
    may_change = RESUME_MAY_CHANGE | ({"data.name"} if facts.data_digest else set())
    changes = [c for c in differences(own, wanted) if c.key not in may_change]
    if changes:
        listed = ", ".join(f"{c.key} is {c.before}, not {c.after}" for c in changes)
        raise UsageError(f"run {run.name} cannot go on with other settings: {listed}")
    if wanted.training.epochs < own.training.epochs:
        raise UsageError(
            f"--epochs: run {run.name} has {own.training.epochs}; it can only be raised"
        )
    require_sound(checkpoint, facts, run.last, with_kl=False)
    facts = without_lost_best(run, facts)
    return SavedState(checkpoint.group("state"), facts, checkpoint.digest), wanted


def without_lost_best(run: Run, facts: Facts) -> Facts:
    """The facts of a run; if its best weights are lost, those of the next epoch are the best.

    A warning says so. Otherwise the training would fail after its last epoch, which needs them.
    """
    if not facts.rows:
        return facts
    try:
        load_model(run)
    except VAEError as error:
        warnings.warn(
            f"{error}; the best weights of the epochs that follow take their place", stacklevel=2
        )
        return dataclasses.replace(facts, best_loss=math.inf, best_epoch=0)
    return facts


def require_unchanged(run: Run, saved: SavedState) -> None:
    """Check that a run is as it was when its state was read, which was before its lock was taken.

    Raises:
        UsageError: another process has trained it, or has made it again, in the meantime.
    """
    if read_metadata(run.last).get("sha256") != saved.digest:
        raise UsageError(
            f"run {run.name} cannot go on: another process has changed it in the meantime"
        )


def require_own(
    run: Run, config: Config, typed: Sequence[tuple[str, Mapping[str, Any]]], *, is_own: bool
) -> None:
    """Check that the data which a run names may be opened, or that others were typed.

    Raises:
        UsageError: the run is a stranger's, and the path of its data was not typed.
    """
    if not (is_own or any("name" in tables.get("data", {}) for _, tables in typed)):
        raise UsageError(explain_distrust(run.name, config.data.name, "--data"))


def is_own(facts: Facts) -> bool:
    """Whether this user trained the run, so that the data it names may be opened."""
    return is_trusted(facts.config.data.name, facts.origin)
