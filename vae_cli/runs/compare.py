"""Comparing runs: the settings in which they differ, their order, and means over seeds.

What `vae plot` shows: the metrics of each epoch, and the rate against the distortion.
"""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

from vae_cli.errors import UsageError, list_some, mark
from vae_cli.runs.checkpoint import NOT_A_HEADER, read_metadata
from vae_cli.runs.directory import Run
from vae_cli.runs.summary import Number, RunSummary, held_out_part, read_metrics, to_epoch
from vae_cli.settings import entries, find_setting, short_name

SEED, EPOCHS = "training.seed", "training.epochs"
ALWAYS_SHOWN = ("data.name", "model.network", SEED)
NEVER_COMPARED = (EPOCHS, "training.device", "training.save_every")  # results do not depend on it
MAX_NAMES = 10  # in an error message
MIXED_DATA = "within a group, the contents of the data changed between the trainings"


class Table(NamedTuple):
    """A table of runs or of groups of runs.

    Attributes:
        columns: their titles.
        texts: the number of columns at the beginning that are texts or settings.
        rows: their cells: texts, numbers, `Figure` or `Spread`; None is an empty one.
    """

    columns: list[str]
    texts: int
    rows: list[list[Any]]


class Spread(NamedTuple):
    """A figure over several runs.

    Attributes:
        mean: the arithmetic mean.
        std: the standard deviation of a sample (divided by n - 1); None of a single run.
        n: the number of runs that have the figure.
    """

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Group:
    """Runs with the same values of some settings.

    Attributes:
        settings: these settings, by key.
        runs: the runs.
    """

    settings: dict[str, Any]
    runs: list[RunSummary]

    def spread(self, figure: str) -> Spread | None:
        """A figure over the runs that have it; None if no run has it."""
        return spread([run.figures[figure] for run in self.runs if figure in run.figures])


def spread(values: Sequence[Number]) -> Spread | None:
    """The mean and the deviation of some values; None if there are none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))


def varying_settings(runs: Sequence[RunSummary]) -> list[str]:
    """The keys of the settings in which runs differ, except those that do not change results."""
    known = [run.settings for run in runs if run.settings]
    ours = [entry.key for entry in entries()]
    others = sorted({key for settings in known for key in settings} - set(ours))
    return [
        key
        for key in (*ours, *others)
        if key not in NEVER_COMPARED and len({settings.get(key) for settings in known}) > 1
    ]


def figure_names(runs: Sequence[RunSummary]) -> list[str]:
    """The names of all figures that some run has, in the order of their first appearance."""
    return list(dict.fromkeys(name for run in runs for name in run.figures))


def title_of(key: str) -> str:
    """The title of the column of a setting: its short name, or its key if it has none."""
    return next((short_name(entry) for entry in entries() if entry.key == key), key)


def tabulate_runs(runs: Sequence[RunSummary]) -> Table:
    """One row per run: name, state, settings, epochs, figures."""
    varying = varying_settings(runs)
    keys = [*ALWAYS_SHOWN, *(key for key in varying if key not in ALWAYS_SHOWN)]
    figures = figure_names(runs)
    columns = ["name", "state", *map(title_of, keys), "epochs", "of", *figures]
    rows = [
        [
            run.run.name,
            run.state,
            *(shown_value(key, run.settings.get(key)) for key in keys),
            run.epochs,
            run.settings.get(EPOCHS),
            *(run.evaluation.get(name, run.figures.get(name)) for name in figures),
        ]
        for run in runs
    ]
    return Table(columns, 2 + len(keys), rows)


def tabulate_groups(groups: Sequence[Group]) -> Table:
    """One row per group: its settings, the number of runs, and the spread of each figure."""
    keys = list(groups[0].settings)
    figures = figure_names([run for group in groups for run in group.runs])
    rows = [
        [
            *(shown_value(key, value) for key, value in group.settings.items()),
            len(group.runs),
            *map(group.spread, figures),
        ]
        for group in groups
    ]
    return Table([*map(title_of, keys), "n", *figures], len(keys), rows)


def shown_value(key: str, value: Any) -> Any:
    """A setting for a table: the path of data becomes their name, and a list a text."""
    if key == "data.name" and isinstance(value, str):
        return Path(value).name
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def group_runs(runs: Sequence[RunSummary], keys: Sequence[str]) -> list[Group]:
    """The runs in groups with the same values of the settings `keys`, sorted by them."""
    groups: dict[tuple[Any, ...], list[RunSummary]] = {}
    for run in runs:
        groups.setdefault(tuple(run.settings.get(key) for key in keys), []).append(run)
    ordered = sorted(groups, key=lambda values: [_sortable(value) for value in values])
    return [Group(dict(zip(keys, values, strict=True)), groups[values]) for values in ordered]


def mix_data(groups: Sequence[Group]) -> bool:
    """Whether a group has runs on the same data whose contents changed between the trainings."""
    for group in groups:
        contents: dict[tuple[Any, ...], set[str]] = {}
        for run in group.runs:
            settings = sorted(pair for pair in run.settings.items() if pair[0].startswith("data."))
            contents.setdefault(tuple(settings), set()).add(read_data_digest(run.run))
        if any(len(digests - {""}) > 1 for digests in contents.values()):
            return True
    return False


def read_data_digest(run: Run) -> str:
    """The digest of the contents of the data of a run, by its weights; empty if it is not known."""
    try:
        return str(json.loads(read_metadata(run.best)["vae"])["data_digest"])
    except NOT_A_HEADER:
        return ""


def sort_runs(runs: Sequence[RunSummary], word: str | None) -> list[RunSummary]:
    """The runs in the order of a column, from low to high, those without a value last.

    Args:
        runs: what to sort.
        word: a figure, `name`, `state`, `epochs` or a setting; None means the oldest first.

    Raises:
        UsageError: there is no such column.
    """
    if word is None:
        return sorted(runs, key=lambda run: run.changed_at)
    value = _find_column(runs, word)
    return sorted(runs, key=lambda run: _sortable(value(run)))


def _find_column(runs: Sequence[RunSummary], word: str) -> Callable[[RunSummary], Any]:
    """What a word names: how its value is taken from a run."""
    own: dict[str, Callable[[RunSummary], Any]] = {
        "name": lambda run: run.run.name,
        "state": lambda run: run.state,
        "epochs": lambda run: run.epochs,
    }
    figures = figure_names(runs)
    if word in own:
        return own[word]
    found = [name for name in figures if word in {name, name.partition("_")[2]}]
    if found:
        return lambda run: next((run.figures[name] for name in found if name in run.figures), None)
    try:
        key = find_setting(word, mark("sort")).key
    except UsageError as error:
        some = list_some([*own, *figures], MAX_NAMES)
        raise UsageError(
            f"{mark('sort')} {word}: choose {some}, or a setting such as beta"
        ) from error
    return lambda run: run.settings.get(key)


def _sortable(value: Any) -> tuple[int, Number, str]:
    """A key by which numbers come before texts, and both before missing values."""
    if value is None:
        return 2, 0, ""
    return (0, value, "") if isinstance(value, int | float) else (1, 0, str(value))


TRAIN, HELD_OUT = "train", "held out"
RATES = ("kl", "rate")
DISTORTIONS = ("mse", "nll", "bce", "distortion")


@final
@dataclass(frozen=True, kw_only=True)
class Curve:
    """The metrics of runs that differ only in their seed.

    Attributes:
        label: the settings in which these runs differ from the others that are shown.
        runs: their names.
        epochs: `(E,)`, those that at least one of the runs has.
        held_out: what the items that are held out are called, such as `test`.
        columns: for each column of `metrics.csv`, the mean and the deviation at each epoch, `(E,)`;
            None where no run has a value.
    """

    label: str
    runs: list[str]
    epochs: list[int]
    held_out: str
    columns: dict[str, list[Spread | None]]


@final
@dataclass(frozen=True, kw_only=True)
class RatePoint:
    """The best epoch of runs that differ only in their seed.

    Attributes:
        line: what the points of one line have in common; empty if there is only one line.
        label: the value of the setting that changes along the line.
        order: of this value along the line.
        runs: the names of the runs.
        rate: the KL divergence.
        distortion: the other term of the loss.
    """

    line: str
    label: str
    order: Any
    runs: list[str]
    rate: Spread
    distortion: Spread


def compared_settings(runs: Sequence[RunSummary]) -> list[str]:
    """The keys of the settings by which runs are told apart: all that differ but the seed."""
    epochs = {run.settings.get(EPOCHS) for run in runs}
    keys = [key for key in varying_settings(runs) if key != SEED]
    return [*keys, EPOCHS] if len(epochs) > 1 else keys


def collect_curves(runs: Sequence[RunSummary]) -> list[Curve]:
    """The metrics of each epoch, in groups of runs that differ only in their seed.

    Raises:
        UsageError: no run has metrics yet.
    """
    groups = group_runs(runs, compared_settings(runs))
    curves = [_average(group) for group in groups]
    found = [curve for curve in curves if part_columns(curve)]
    if not found:
        raise UsageError(
            f"run {runs[0].run.name} has no metrics yet: they come with its first save"
        )
    return found


def terms_of(curves: Sequence[Curve]) -> list[str]:
    """The terms that the columns of curves measure, without `train_` and `test_`."""
    return list(dict.fromkeys(term for curve in curves for _, term in part_columns(curve)))


def part_columns(curve: Curve) -> dict[tuple[str, str], str]:
    """The columns of a curve by part, `train` or `held out`, and term."""
    parts = {TRAIN: TRAIN, curve.held_out: HELD_OUT}
    split = ((column, *column.partition("_")) for column in curve.columns)
    return {(parts[part], term): column for column, part, _, term in split if part in parts}


def collect_rates(runs: Sequence[RunSummary]) -> list[RatePoint]:
    """The rate and the distortion of each group of runs that differ only in their seed.

    The points of one line differ in one setting: in `beta`, or else in the first that differs.

    Raises:
        UsageError: the runs have no rate, or no distortion of the same name.
    """
    rate, distortion = find_rate(runs)
    keys = compared_settings(runs)
    along = next((key for key in keys if key.endswith(".beta")), keys[0] if keys else "")
    others = [key for key in keys if key != along]
    points = []
    for group in group_runs(runs, keys):
        x, y = group.spread(rate), group.spread(distortion)
        if x and y:
            names, value = _names(group), group.settings.get(along)
            label = describe_settings(group.settings, [along]) if along else names[0]
            line = describe_settings(group.settings, others)
            point = RatePoint(line=line, label=label, order=value, runs=names, rate=x, distortion=y)
            points.append(point)
    return points


def find_rate(runs: Sequence[RunSummary]) -> tuple[str, str]:
    """The columns of the rate and of the distortion that runs have in common.

    Raises:
        UsageError: they have none.
    """
    part = held_out_part(runs[0].metrics) if runs else ""
    shared = [
        name for name in RATES + DISTORTIONS if all(f"{part}_{name}" in r.metrics for r in runs)
    ]
    rates = [name for name in shared if name in RATES]
    distortions = [name for name in shared if name in DISTORTIONS]
    if not (runs and rates and distortions):
        raise UsageError("these runs have no KL and distortion in common: choose others")
    return f"{part}_{rates[0]}", f"{part}_{distortions[0]}"


def describe_settings(settings: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Some settings as a label, for example `beta 0.5, latent-dim 2`."""
    values = {key: shown_value(key, settings.get(key)) for key in keys}
    texts = {k: f"{v:g}" if isinstance(v, float) else str(v) for k, v in values.items()}
    return ", ".join(f"{title_of(key)} {text}" for key, text in texts.items())


def _average(group: Group) -> Curve:
    by_epoch: dict[int, dict[str, list[Number]]] = {}
    for run in group.runs:
        for row in read_metrics(run.run):
            if epoch := to_epoch(row.get("epoch")):
                values = by_epoch.setdefault(epoch, {})
                for column, value in row.items():
                    values.setdefault(column, []).append(value)
    epochs = sorted(by_epoch)
    columns = dict.fromkeys(column for epoch in epochs for column in by_epoch[epoch])
    names = _names(group)
    label = describe_settings(group.settings, list(group.settings)) or " and ".join(names[:2])
    if len(names) > 2 and not group.settings:  # noqa: PLR2004
        label = f"{len(names)} runs"
    spreads = {
        column: [spread(by_epoch[epoch].get(column, ())) for epoch in epochs] for column in columns
    }
    return Curve(
        label=label,
        runs=names,
        epochs=epochs,
        held_out=held_out_part(columns),
        columns=spreads,
    )


def _names(group: Group) -> list[str]:
    return [run.run.name for run in group.runs]
