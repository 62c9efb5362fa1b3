"""Where a training starts: from the last state of its own run, or from the weights of another.

A run that is resumed continues bit for bit as if it had never stopped, so few settings may change.
A training that starts from another run has its own objective, optimizer and data, and keeps nothing
of the old one but the weights: fine-tuning for a tighter bound, or for data of which there are few.
"""

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.data.source import (
    FOLDER_KEYS,
    SHARD_KEYS,
    SHARD_KINDS,
    TABLE_KEYS,
    SourceKind,
    find_source,
    require_kind,
    require_present,
)
from vae_cli.errors import UsageError, VAEError, list_some, mark
from vae_cli.model import LatentModel
from vae_cli.runs.checkpoint import load_checkpoint, read_metadata
from vae_cli.runs.directory import ROOT, Run
from vae_cli.runs.facts import Facts, Progress, parse_facts
from vae_cli.runs.loading import load_model, may_open_data, require_sound_state
from vae_cli.runs.lookup import find_run
from vae_cli.runs.origin import explain_unconfirmed
from vae_cli.settings import Change, Config, Layer, Plan, differences, merge, to_dict

Layers = Sequence[Layer]
MEANINGS = {  # with other values, the same weights compute otherwise
    "model.activation",
    "model.bounded",
    "likelihood.normalization",
}
MEASURED = (  # tensors of the data
    *("codec.", "likelihood.edges", "likelihood.half_widths"),
    *("condition.codec.", "condition.known."),
)
RESUME_MAY_CHANGE = {
    *("training.epochs", "training.device", "training.save_every"),
    *("training.processes", "training.accumulate"),
}
KEYS_OF_KINDS = (  # settings of data that are for some kinds of sources alone
    ({SourceKind.FOLDER}, FOLDER_KEYS),
    ({SourceKind.SHARDS}, SHARD_KEYS),
    (SHARD_KINDS, ("shuffle_window",)),
    (SHARD_KINDS | {SourceKind.FOLDER, SourceKind.ARRAY}, ("range",)),
    ({SourceKind.TABLE}, TABLE_KEYS),
)
MAX_COLUMNS = 10  # in an error message
SHARED = ("data", "model", "likelihood", "prior")  # the sections that come from the other run


def start_layers(name: str, layers: Layers) -> list[Layer]:
    """The settings of a training that starts from a run: that run's are below all others.

    Above them is the whole name of the run, because another run may soon begin with what was typed.

    Args:
        name: of the run.
        layers: what was typed for the training.

    Raises:
        UsageError: there is no such run, or nobody has confirmed the path of its
            data.
        VAEError: its weights are missing or damaged.
    """
    run = find_run(name)
    loaded = load_model(run)
    require_confirmed_data(run, loaded.facts, layers)
    tables = {section: to_dict(loaded.facts.config)[section] for section in SHARED}
    source = f"run {run.name}"
    chosen = merge((source, tables), *layers).data.name
    below = tables | {"data": fit_data_settings(tables["data"], chosen)}
    whole = run.name if run.path.parent == ROOT else name
    return [(source, below), *layers, (source, {"training": {"start": whole}})]


def fit_data_settings(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The data settings of the other run that make sense for the data with a name.

    The rules by which other data are read and divided are those of today, except for tables: the
    weights are for the kinds of columns that these rules find.

    Raises:
        UsageError: there are no such data.
    """
    if name == settings["name"] or find_source(name).absolute_name == settings["name"]:
        return dict(settings)
    kind = find_source(name).kind
    allowed = {key for kinds, keys in KEYS_OF_KINDS if kind in kinds for key in keys}
    known = {key for _, keys in KEYS_OF_KINDS for key in keys}
    today = set() if kind is SourceKind.TABLE else {"rules"}
    return {key: value for key, value in settings.items() if key not in known - allowed | today}


def start_weights(config: Plan, blueprint: LatentModel, spec: Spec) -> dict[str, Tensor] | None:
    """The weights that a training starts from, by their names in its model; None for random ones.

    What is measured on the columns of a table is not among them: it belongs to the data.

    Args:
        config: the settings of the training.
        blueprint: its model without memory.
        spec: of its items.

    Raises:
        UsageError: there is no such run, or its weights are for another network or other items.
        VAEError: they are missing or damaged.
    """
    if not config.training.start:
        return None
    run = find_run(config.training.start)
    loaded = load_model(run)
    known = loaded.facts.data
    weights, expected = (
        {name: tensor for name, tensor in tensors.items() if not name.startswith(MEASURED)}
        for tensors in (loaded.model.state_dict(), blueprint.state_dict())
    )
    changes = [
        change
        for change in differences(loaded.facts.config, config)
        if change.key.partition(".")[0] in SHARED[1:]
    ]
    reason = ""
    if {name: t.shape for name, t in weights.items()} != {n: t.shape for n, t in expected.items()}:
        shapes = f"they are for items of {sides(known.shape)}, not {sides(spec.shape)}"
        reason = describe_changes(changes) or other_meaning(known, spec) or shapes
    elif others := [change for change in changes if change.key in MEANINGS]:
        reason = describe_changes(others)
    elif is_reordered(known.column_names, spec.column_names):
        reason = (
            f"they are for the same columns in another order, {list_some(known.column_names, 10)}"
        )
    else:
        reason = other_meaning(known, spec)
    if reason:
        raise UsageError(f"{mark('training.start')} {run.name}: its weights do not fit: {reason}")
    return weights


def describe_changes(changes: Sequence[Change]) -> str:
    """Settings of the other run that the training changes, for a message."""
    return ", ".join(f"{c.key} is {c.before}, not {c.after}" for c in changes)


def is_reordered(columns: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two tables have the same columns in another order."""
    return tuple(columns) != tuple(others) and sorted(columns) == sorted(others)


def other_meaning(known: Spec, spec: Spec) -> str:
    """What the first column that means something else is in a table; empty if there is none."""
    if (names := names_of(known.condition)) != names_of(spec.condition):
        return f"{mark('data.condition')} is {names}, not {names_of(spec.condition)}"
    learned = zip(known.columns, spec.columns, strict=known.shape == spec.shape)
    for before, now in (*learned, *zip(known.condition, spec.condition, strict=True)):
        is_same = before.kind == now.kind or (before.is_measured and now.is_measured)
        if not is_same:
            return f"the kind of column {now.name} is {now.kind}, and was {before.kind}"
        if now.kind == "category" and before.categories != now.categories:
            added = [text for text in now.categories if text not in before.categories]
            change = f"it has {added[0]}" if added else "one is missing, or in another place"
            return f"the categories of column {now.name} are not the same: {change}"
    if known.table.missing != spec.table.missing and "model" in {
        known.table.missing,
        spec.table.missing,
    }:
        return f"data.missing is {known.table.missing}, not {spec.table.missing}"
    return ""


def names_of(columns: Sequence[Column]) -> str:
    """The names of some columns, for a message."""
    return ",".join(column.name for column in columns) or "none"


def sides(shape: Sequence[int]) -> str:
    """A shape as in `1x28x28`."""
    return "x".join(map(str, shape))


class SavedState(NamedTuple):
    """The last state of a run.

    Attributes:
        tensors: of the training state, by name.
        facts: the settings, what the data were, and the progress.
        digest: of the file that it was read from.
    """

    tensors: dict[str, Tensor]
    facts: Facts
    digest: str

    @property
    def progress(self) -> Progress:
        """How far the training came, which `load_for_resume` has checked to be there."""
        assert self.facts.progress is not None
        return self.facts.progress


def load_for_resume(run: Run, typed: Layers) -> tuple[SavedState, Config]:
    """Load the last state of a run, and its settings with those typed settings that may change.

    The data may be in another place, because their contents are compared when they are read.

    Raises:
        UsageError: a typed setting differs from the run's and may not change, or nobody has
            confirmed the path of its data.
        VAEError: the checkpoint is missing or damaged.
    """
    checkpoint = load_checkpoint(run.last)
    facts = parse_facts(checkpoint.facts, run.last)
    require_confirmed_data(run, facts, typed)
    wanted = merge(("its config", to_dict(facts.config)), *typed)
    if wanted.data.name == facts.config.data.name:
        require_present(wanted.data.name, f"run {run.name}: its data")
    source = find_source(wanted.data.name, "data.name")
    require_kind(source, facts.data)
    data = dataclasses.replace(wanted.data, name=source.absolute_name)
    wanted = dataclasses.replace(wanted, data=data)
    require_resumable(run, facts, wanted)
    require_sound_state(checkpoint, facts, run.last)
    saved = SavedState(checkpoint.group("state"), facts, checkpoint.digest)
    return without_lost_best(run, saved, wanted.training.epochs), wanted


def require_resumable(run: Run, facts: Facts, wanted: Config) -> None:
    """Check that a run can go on with some settings.

    Raises:
        UsageError: one differs from the run's and may not change, or there are fewer epochs.
    """
    own = facts.config
    may_change = RESUME_MAY_CHANGE | ({"data.name"} if facts.data_digest else set())
    changes = [c for c in differences(own, wanted) if c.key not in may_change]
    if changes:
        raise UsageError(
            f"run {run.name} cannot go on with other settings: {describe_changes(changes)}"
        )
    if wanted.training.epochs < own.training.epochs:
        raise UsageError(
            f"{mark('training.epochs')}: run {run.name} has {own.training.epochs}; it "
            "can only be raised"
        )


def without_lost_best(run: Run, saved: SavedState, epochs: int) -> SavedState:
    """The state of a run; if its best weights are lost, those of the next epoch are the best.

    A warning says so. Otherwise the training would fail after its last epoch, which needs them.

    Raises:
        VAEError: they are lost, and all epochs are done.
    """
    if not saved.progress.rows:
        return saved
    try:
        load_model(run)
    except VAEError as error:
        if saved.facts.epoch >= epochs:
            more = mark(f"training.epochs={epochs + 1}")
            raise VAEError(
                f"{error.message}; no epoch follows to take their place: try {more}"
            ) from error
        warnings.warn(
            f"{error}; the best weights of the epochs that follow take their place", stacklevel=2
        )
        progress = dataclasses.replace(saved.progress, best_loss=math.inf, best_epoch=0)
        return saved._replace(facts=dataclasses.replace(saved.facts, progress=progress))
    return saved


def require_unchanged(run: Run, saved: SavedState) -> None:
    """Check that a run is as it was when its state was read, which was before its lock was taken.

    Raises:
        UsageError: another process has trained it, or has made it again, in the meantime.
    """
    if read_metadata(run.last).get("sha256") != saved.digest:
        raise UsageError(
            f"run {run.name} cannot go on: another process has changed it in the meantime"
        )


def require_confirmed_data(run: Run, facts: Facts, typed: Layers) -> None:
    """Check that the data which a run names may be opened, or that others were typed.

    Raises:
        UsageError: the run was not trained here, and the path of its data was not typed.
    """
    is_typed = any("name" in tables.get("data", {}) for _, tables in typed)
    if not (is_typed or may_open_data(facts)):
        raise UsageError(explain_unconfirmed(run.name, facts.config.data.name))
