"""Runs side by side: what differs, in which order, and what the seeds have in common."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vae_cli.errors import UsageError
from vae_cli.runs.compare import (
    Spread,
    group_runs,
    sort_runs,
    tabulate_groups,
    tabulate_runs,
    varying_settings,
)
from vae_cli.runs.directory import Run
from vae_cli.runs.summary import Figure, RunSummary
from vae_cli.settings import merge, to_dict

Make = Callable[..., RunSummary]


def make(name: str, loss: float | None = None, *, at: float = 0, **settings: Any) -> RunSummary:
    """A finished run with some settings, given as `section__name`."""
    tables: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        section, _, setting = key.partition("__")
        tables.setdefault(section, {})[setting] = value
    nested = to_dict(merge(("", tables)))
    flat = {
        f"{part}.{key}": tuple(value) if isinstance(value, list) else value
        for part, table in nested.items()
        for key, value in table.items()
    }
    metrics = {} if loss is None else {"test_loss": loss}
    return summary(name, settings=flat, epochs=20, metrics=metrics, changed_at=at)


def summary(name: str, **known: Any) -> RunSummary:
    """A summary of a finished run, of which only something is known."""
    nothing = {"settings": {}, "epochs": 0, "metrics": {}, "evaluation": {}, "changed_at": 0}
    return RunSummary(run=Run(Path(name)), **({"state": "finished"} | nothing | known))


SWEEP = [
    make(f"b{beta}-s{seed}", 10 * beta + seed, objective__beta=beta, training__seed=seed)
    for beta in (2.0, 0.5)
    for seed in (0, 1, 5)
]


def test_only_the_settings_that_differ_and_change_results_vary() -> None:
    assert varying_settings(SWEEP) == ["objective.beta", "training.seed"]
    others = [make("a"), make("b", training__save_every="5", training__device="cpu")]
    assert varying_settings(others) == []
    assert varying_settings([]) == []


def test_a_run_without_settings_does_not_make_all_settings_vary() -> None:
    bare = summary("bare", state="stopped")
    assert varying_settings([*SWEEP, bare]) == ["objective.beta", "training.seed"]
    assert tabulate_runs([bare]).rows[0][:2] == ["bare", "stopped"]


def test_the_table_has_one_row_per_run_and_the_differing_settings() -> None:
    table = tabulate_runs(SWEEP)
    titles = "name state data model seed beta epochs of test_loss"
    assert table.columns == titles.split()
    assert table.rows[1] == ["b2.0-s1", "finished", "fashion-mnist", "auto", 1, 2.0, 20, 20, 21.0]


def test_groups_have_the_mean_the_deviation_and_the_number_of_their_runs() -> None:
    groups = group_runs(SWEEP, ["objective.beta"])
    assert [group.settings for group in groups] == [{"objective.beta": 0.5}, {"objective.beta": 2}]
    expected = Spread(7.0, statistics.stdev([5, 6, 10]), 3)
    assert groups[0].spread("test_loss") == expected
    table = tabulate_groups(groups)
    assert table.columns == ["beta", "n", "test_loss"]
    assert table.rows[0] == [0.5, 3, expected]


def test_one_run_has_no_deviation_and_a_missing_figure_does_not_count() -> None:
    (group,) = group_runs([make("a", 3.0), make("b")], [])
    assert group.spread("test_loss") == Spread(3.0, None, 1)
    assert group.spread("nll") is None


@pytest.mark.parametrize("word", ["test_loss", "loss", "beta", "objective.beta"])
def test_runs_are_sorted_by_figures_and_by_settings(word: str) -> None:
    assert sort_runs(SWEEP, word)[0].settings["objective.beta"] == 0.5


def test_runs_without_the_figure_come_last_and_the_oldest_first_by_default() -> None:
    runs = [make("new", at=9), make("old", 5.0, at=1), make("mid", 4.0, at=2)]
    assert [run.run.name for run in sort_runs(runs, "loss")] == ["mid", "old", "new"]
    assert [run.run.name for run in sort_runs(runs, None)] == ["old", "mid", "new"]
    assert [run.run.name for run in sort_runs(runs, "name")] == ["mid", "new", "old"]


def test_an_unknown_column_names_those_that_there_are() -> None:
    with pytest.raises(UsageError) as error:
        sort_runs(SWEEP, "elbow")
    expected = "sort elbow: choose name, state, epochs, test_loss, or a setting such as beta"
    assert str(error.value) == expected


def test_figures_of_an_evaluation_keep_their_error() -> None:
    run = summary("a", epochs=1, evaluation={"nll": Figure(3.0, 0.5)})
    assert tabulate_runs([run]).rows[0][-1] == Figure(3.0, 0.5)
