"""What `vae plot` shows: the metrics of each epoch, and the rate against the distortion."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vae_cli.errors import UsageError
from vae_cli.runs.comparison import (
    EPOCHS,
    SEED,
    Group,
    Spread,
    group_runs,
    shown_value,
    spread,
    title_of,
    varying_settings,
)
from vae_cli.runs.reading import Number, to_epoch
from vae_cli.runs.summary import RunSummary, held_out_part, read_metrics

TRAIN, HELD_OUT = "train", "held out"
RATES = ("kl", "rate")
DISTORTIONS = ("mse", "nll", "bce", "distortion")


class Curve(NamedTuple):
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


class RatePoint(NamedTuple):
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
            points.append(RatePoint(line, label, value, names, x, y))
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
    return Curve(
        label,
        names,
        epochs,
        held_out_part(columns),
        {column: [spread(by_epoch[e].get(column, ())) for e in epochs] for column in columns},
    )


def _names(group: Group) -> list[str]:
    return [run.run.name for run in group.runs]
