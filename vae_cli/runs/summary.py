"""What is known about a run without loading its weights: its state, settings and figures.

Nothing here imports torch, so that a thousand runs are listed in less than a second. All files are
read defensively: a run may be from another version, from somebody else, or being written.
"""

import csv
import functools
import io
import json
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vae_cli.config import entries
from vae_cli.runs.directory import Run, changed_at
from vae_cli.runs.header import read_facts, read_weights_digest
from vae_cli.runs.lock import is_locked

EVALUATION = "evaluation.json"
MAX_FILE_BYTES = 64 * 2**20  # of a file of settings or figures: larger ones are not ours
NOT_FIGURES = ("epoch", "seconds")  # columns of metrics.csv

State = Literal["finished", "running", "stopped"]
Number = int | float


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

    @property
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
    rows, settings, evaluation = _read_rows(run), read_settings(run), read_evaluation(run)
    return RunSummary(
        run,
        read_state(run),
        settings,
        int(_to_numbers(rows[-1]).get("epoch", len(rows))) if rows else 0,
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
    try:
        tables = tomllib.loads(_read_text(run.config_file))
    except (ValueError, RecursionError):
        return {}
    found = {
        f"{section}.{name}": _to_setting(value)
        for section, table in tables.items()
        if isinstance(table, dict)
        for name, value in table.items()
    }
    return {**_defaults(), **found} if found else {}


def read_metrics(run: Run) -> list[dict[str, Number]]:
    """The rows of `metrics.csv`, with the numbers that they have."""
    return list(map(_to_numbers, _read_rows(run)))


def find_best(rows: Sequence[Mapping[str, str]], best: str = "loss") -> dict[str, Number]:
    """The numbers of the epoch whose weights are kept; empty if no row has a loss.

    Args:
        rows: of `metrics.csv`, with the texts that are in it.
        best: the figure that decides: the lowest `loss`, or the highest `elbo`.
    """
    part = held_out_part(rows[0]) if rows else ""
    column, sign = (f"{part}_elbo", -1) if best == "elbo" else (f"{part}_loss", 1)
    figures = ((_to_number(row.get(column)), row) for row in rows)
    comparable = [(sign * figure, row) for figure, row in figures if figure is not None]
    return _to_numbers(min(comparable, key=lambda pair: pair[0], default=(0, {}))[1])


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
    found = {name: _to_figure(figure) for name, figure in figures.items()}
    return {name: figure for name, figure in found.items() if figure is not None}


def read_evaluation_file(run: Run) -> dict[str, Any]:
    """The contents of `evaluation.json`, not validated; empty if there are none."""
    try:
        content = json.loads(_read_text(run.path / EVALUATION))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


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


def _read_rows(run: Run) -> list[dict[str, str]]:
    """The rows of `metrics.csv` as texts: a list of many runs needs the numbers of two of them."""
    text = io.StringIO(_read_text(run.metrics_file), newline="")
    try:
        return list(csv.DictReader(text, restkey=""))  # cells beyond the header, if there are any
    except csv.Error:
        return []


def _to_numbers(row: Mapping[str, str]) -> dict[str, Number]:
    """The numbers of a row of `metrics.csv`."""
    return {name: number for name, text in row.items() if (number := _to_number(text)) is not None}


def _to_figure(figure: Any) -> Figure | None:
    value = _to_number(figure.get("value")) if isinstance(figure, dict) else None
    return None if value is None else Figure(value, _to_number(figure.get("error")))


def _to_number(value: Any) -> Number | None:
    """A finite number, from a number or a text; None if it is none."""
    if isinstance(value, str):
        try:
            value = int(value) if value.isdecimal() else float(value)
        except ValueError:
            return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None


def _read_text(path: Path) -> str:
    """The contents of a small file; empty if there is none, or if it cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:  # a pipe would never end
            return ""
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""


def _to_setting(value: Any) -> Any:
    """A value of TOML that can be compared and written as JSON; what our files lack is a text."""
    if isinstance(value, list):
        return tuple(map(_to_setting, value))
    is_plain = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else str(value)


@functools.cache
def _defaults() -> dict[str, Any]:
    return {entry.key: entry.default for entry in entries()}
