"""What is known about a run without loading its weights: its state, settings and figures.

Nothing here imports torch, so that a thousand runs are listed in less than a second. All files are
read defensively: a run may be from another version, from somebody else, or being written.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from vae_cli.config import entries
from vae_cli.runs.directory import Run, changed_at
from vae_cli.runs.header import read_facts, read_weights_digest
from vae_cli.runs.lock import is_locked
from vae_cli.runs.reading import (
    Number,
    first_figures,
    read_json,
    read_table,
    read_toml,
    to_epoch,
    to_number,
)

EVALUATION = "evaluation.json"
NOT_FIGURES = ("epoch", "seconds")  # columns of metrics.csv

State = Literal["finished", "running", "stopped"]


class Figure(NamedTuple):
    """A figure of `evaluation.json`.

    Attributes:
        value: the figure.
        error: its standard error; None if it is not known.
    """

    value: Number
    error: Number | None


@dataclass(frozen=True)
class RunSummary:
    """What is known about a run.

    Attributes:
        run: its directory.
        state: whether its training has reached the last epoch, is going on, or has stopped.
        settings: by key, such as `model.latent_dim`; empty if they cannot be read.
        epochs: the number of complete epochs that are saved.
        metrics: the row of `metrics.csv` of the epoch whose weights are kept; empty if none is.
        evaluation: the figures of `evaluation.json` by name; empty if there are none of the weights
            that it has now.
        changed_at: when its settings were written, in seconds since 1970.
        has_old_evaluation: whether there is an evaluation of other weights instead.
    """

    run: Run
    state: State
    settings: Mapping[str, Any]
    epochs: int
    metrics: Mapping[str, Number]
    evaluation: Mapping[str, Figure]
    changed_at: float
    has_old_evaluation: bool = False

    @functools.cached_property
    def figures(self) -> dict[str, Number]:
        """The figures of the held-out items, by name: those of the training, then the evaluation.

        The names are those of the columns of `metrics.csv`, whatever the objective calls its terms.
        """
        trained = {
            name: value
            for name, value in self.metrics.items()
            if name not in NOT_FIGURES and not name.startswith("train_")
        }
        return trained | {name: figure.value for name, figure in self.evaluation.items()}


def summarize_run(run: Run) -> RunSummary:
    """Read what is known about a run."""
    rows, settings, evaluation = (
        read_table(run.metrics_file),
        read_settings(run),
        read_evaluation(run),
    )
    return RunSummary(
        run,
        read_state(run),
        settings,
        (to_epoch(rows[-1].get("epoch")) or len(rows)) if rows else 0,
        find_best(rows, settings.get("training.best", "loss")),
        evaluation,
        changed_at(run.config_file) or run.ended_at,
        not evaluation and has_old_evaluation(run),
    )


def read_state(run: Run) -> State:
    """Whether a run is finished, running or stopped. A running run is locked by its process."""
    if run.finished:
        return "finished"
    try:
        return "running" if is_locked(run) else "stopped"
    except OSError:  # there is no such directory, or it was removed in the meantime
        return "stopped"


def read_settings(run: Run) -> dict[str, Any]:
    """The settings in `config.toml` by key; those that it does not have are the defaults.

    They are not validated, because a run of another version may have settings that this one lacks.
    """
    found = {
        f"{section}.{name}": value
        for section, table in read_toml(run.config_file).items()
        for name, value in table.items()
    }
    return {**_defaults(), **found} if found else {}


def read_metrics(run: Run) -> list[dict[str, Number]]:
    """The rows of `metrics.csv`, with the numbers that they have."""
    return list(map(_to_numbers, read_table(run.metrics_file)))


def find_best(rows: Sequence[Mapping[str, str]], best: str = "loss") -> dict[str, Number]:
    """The numbers of the epoch whose weights are kept: the last, if no row has a finite loss.

    Args:
        rows: of `metrics.csv`, with the texts that are in it.
        best: the figure that decides: the lowest `loss`, or the highest `elbo`.
    """
    part = held_out_part(rows[0]) if rows else ""
    column, sign = (f"{part}_elbo", -1) if best == "elbo" else (f"{part}_loss", 1)
    figures = ((to_number(row.get(column)), row) for row in rows)
    comparable = [(sign * figure, row) for figure, row in figures if figure is not None]
    last = rows[-1] if rows and column in rows[-1] else {}
    return _to_numbers(min(comparable, key=lambda pair: pair[0], default=(0, last))[1])


def held_out_part(columns: Iterable[str]) -> str:
    """What metrics call the items that are held out: `test`, or another part that has a loss."""
    parts = (column.removesuffix("_loss") for column in columns if column.endswith("_loss"))
    return next((part for part in parts if part != "train"), "test")


def read_evaluation(run: Run) -> dict[str, Figure]:
    """The figures in `evaluation.json` that are finite numbers, by name.

    They are empty if the evaluation is not of the weights that the run has now.
    """
    content = read_evaluation_file(run)
    figures = content.get("figures")
    if not isinstance(figures, dict) or not is_of_weights(run, content):
        return {}
    found = {name: _to_figure(figures[name]) for name in first_figures(figures)}
    return {name: figure for name, figure in found.items() if figure is not None}


def read_evaluation_file(run: Run) -> dict[str, Any]:
    """The contents of `evaluation.json`, not validated; empty if there are none."""
    return read_json(run.path / EVALUATION)


def is_of_weights(run: Run, evaluation: Mapping[str, Any]) -> bool:
    """Whether an evaluation says that it is of the weights that a run has now."""
    weights = evaluation.get("weights")
    return bool(weights) and weights == read_weights_digest(run.best)


def has_old_evaluation(run: Run) -> bool:
    """Whether there is an evaluation of other weights than those that a run has now."""
    content = read_evaluation_file(run)
    return bool(content) and not is_of_weights(run, content)


def is_evaluated(run: Run, how: Mapping[str, Any]) -> bool:
    """Whether there is an evaluation of the weights that a run has now, on its own data.

    Args:
        run: the run.
        how: facts that the evaluation must have, such as the number of samples.
    """
    content = read_evaluation_file(run)
    data = read_facts(run.best).get("data_digest")
    is_own = not data or content.get("data_digest") == data
    return is_own and is_of_weights(run, content) and how.items() <= content.items()


def _to_numbers(row: Mapping[str, str]) -> dict[str, Number]:
    """The numbers of a row of `metrics.csv`."""
    return {name: number for name, text in row.items() if (number := to_number(text)) is not None}


def _to_figure(figure: Any) -> Figure | None:
    value = to_number(figure.get("value")) if isinstance(figure, dict) else None
    return None if value is None else Figure(value, to_number(figure.get("error")))


@functools.cache
def _defaults() -> dict[str, Any]:
    return {entry.key: entry.default for entry in entries()}
