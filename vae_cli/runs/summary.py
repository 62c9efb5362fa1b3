"""What is known about a run without loading its weights: its state, settings and figures.

Its files of text are read within limits, because they may be from another version, from somebody
else or from another program, being written, or torn. What is beyond a limit, or is not what belongs
there, is left out: none of it stops the list of the other runs, and none of it makes the work
larger than that for the largest files of our own. Nothing here imports torch, so that a thousand
runs are listed in less than a second.
"""

import csv
import functools
import io
import itertools
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

from vae_cli.errors import UsageError
from vae_cli.files import read_file
from vae_cli.runs.checkpoint import read_raw_facts, read_weights_digest
from vae_cli.runs.directory import Run, changed_at, is_locked
from vae_cli.settings import entries, without_effect

MAX_BYTES = 2**20  # of settings, and of an evaluation
MAX_METRICS_BYTES = 32 * 2**20  # of 100,000 epochs, ours have half of that
MAX_LINE = 2**16  # characters of a line of metrics
MAX_EPOCHS = 100_000  # that the settings allow
MAX_COLUMNS = 64  # of metrics; a training has about 16
MAX_FIGURES = 256  # of an evaluation; ours has about 40
MAX_SETTINGS = 1000  # there are about 70
MAX_TEXT = 4096  # characters of a name or of a setting, as of the longest path
MAX_NUMBER = 1e100  # its square is a number too; a training in float32 has nothing above 1e39
MAX_SETTING = 2**63  # integers that are larger are texts
MAX_DEPTH = 3  # of lists in a setting

Number = int | float
Parse = Callable[[str], Any]


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """The tables in a file of settings, with values that can be compared and written as JSON."""
    tables = _parse(path, tomllib.loads)
    settings = (
        (section, name, to_setting(value))
        for section, table in tables.items()
        if isinstance(table, dict) and len(section) <= MAX_TEXT
        for name, value in table.items()
        if len(name) <= MAX_TEXT
    )
    found: dict[str, dict[str, Any]] = {}
    for section, name, value in itertools.islice(settings, MAX_SETTINGS):
        found.setdefault(section, {})[name] = value
    return found


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, not validated; empty if there is none."""
    return _parse(path, json.loads)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with a header, as texts by column; cells beyond the header are left out.

    Only numbers that are shown are made of the texts, because a list of a thousand runs needs two
    rows of each.
    """
    text = io.StringIO(_read_text(path, MAX_METRICS_BYTES), newline="")
    rows = csv.reader(itertools.takewhile(lambda line: len(line) <= MAX_LINE, text))
    try:
        columns = next(rows, [])[:MAX_COLUMNS]
        columns = columns if max(map(len, columns), default=0) <= MAX_TEXT else []
        filled = (dict(zip(columns, row, strict=False)) for row in rows if row)
        return list(itertools.islice(filled, MAX_EPOCHS))
    except csv.Error:
        return []


def to_number(value: Any) -> Number | None:
    """A finite number of a size that a training has, from a number or a text; None for others."""
    if isinstance(value, str):
        try:
            value = int(value) if value.isdecimal() else float(value)
        except ValueError:
            return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) <= MAX_NUMBER else None


def to_epoch(value: Any) -> int | None:
    """The number of an epoch, from 1; None if a training cannot come to it."""
    number = to_number(value)
    is_epoch = number is not None and number == int(number) and 1 <= number <= MAX_EPOCHS
    return int(number) if number is not None and is_epoch else None


def to_setting(value: Any, depth: int = 0) -> Any:
    """A value of TOML that can be compared and written as JSON; others become short texts."""
    if isinstance(value, list) and depth < MAX_DEPTH:
        return tuple(to_setting(one, depth + 1) for one in value)
    is_number = isinstance(value, int | float) and abs(value) < MAX_SETTING
    is_text = isinstance(value, str) and len(value) <= MAX_TEXT and "\0" not in value
    return value if is_number or is_text else _shorten(value)


def first_figures(names: Iterable[str]) -> list[str]:
    """The names of the figures that are shown, which are all of those of ours."""
    return list(itertools.islice((name for name in names if len(name) <= MAX_TEXT), MAX_FIGURES))


def _shorten(value: Any) -> str:
    try:
        return str(value)[:MAX_TEXT].replace("\0", "\\0")  # no path has this character
    except (ValueError, RecursionError):  # of an integer with thousands of digits, or deep lists
        return f"a {type(value).__name__}"


def _parse(path: Path, parse: Parse) -> dict[str, Any]:
    """The contents of a small file, if `parse` makes a dictionary of them; else an empty one."""
    try:
        content = parse(_read_text(path, MAX_BYTES))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _read_text(path: Path, limit: int) -> str:
    """The contents of a file of at most `limit` bytes; empty if it cannot be read."""
    try:
        return read_file(path, limit).decode()
    except (UsageError, OSError, ValueError):
        return ""


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


@final
@dataclass(frozen=True, kw_only=True)
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
    rows = read_table(run.metrics_file)
    settings, evaluation = read_settings(run), read_evaluation(run)
    return RunSummary(
        run=run,
        state=read_state(run),
        settings=settings,
        epochs=(to_epoch(rows[-1].get("epoch")) or len(rows)) if rows else 0,
        metrics=find_best(rows, settings.get("training.best", "loss")),
        evaluation=evaluation,
        changed_at=changed_at(run.config_file) or run.ended_at,
        has_old_evaluation=not evaluation and has_old_evaluation(run),
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

    Those that have no effect are left out: files of earlier versions have them. They are not
    validated, because a run of another version may have settings that this one lacks.
    """
    tables = read_toml(run.config_file)
    found = {
        f"{section}.{name}": value
        for section, table in tables.items()
        for name, value in table.items()
    }
    unused = {entry.key for entry in without_effect(tables)}
    known = {**_defaults(), **found} if found else {}
    return {key: value for key, value in known.items() if key not in unused}


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
    data = read_raw_facts(run.best).get("data_digest")
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
