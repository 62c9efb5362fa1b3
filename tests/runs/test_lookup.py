"""Finding a run by its name, by its path, or by its age."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vae_cli.errors import UsageError
from vae_cli.runs.directory import Run, create_run
from vae_cli.runs.lookup import MAX_SUGGESTIONS, find_run, find_stopped, select_runs
from vae_cli.settings import merge

MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(name, at, finished=True)`: a run whose files last changed at that time."""

    def make(name: str, at: int, *, finished: bool = True, root: Path = tmp_path) -> Run:
        run = create_run(merge(), name, root)
        files = [run.best, run.last, *(run.previews(".png") if finished else ())]
        for path in files:
            path.touch()
            os.utime(path, (at, at))
        return run

    return make


def message_of(root: Path, selector: str | None) -> str:
    """The message of the error."""
    with pytest.raises(UsageError) as refusal:
        find_run(selector, root)
    return str(refusal.value)


# ------------------------------------------------------------ without a name


def test_the_newest_finished_run_is_found_without_a_name(tmp_path: Path, make_run: MakeRun) -> None:
    older, newest = make_run("older", 100), make_run("newest", 300)
    make_run("other", 200)
    make_run("stopped", 400, finished=False)
    assert find_run(None, tmp_path) == newest
    os.utime(older.previews(".png")[-1], (500, 500))
    assert find_run(None, tmp_path) == older, "the time is that of the samples"


def test_a_finished_run_on_a_table_is_found_too(tmp_path: Path, make_run: MakeRun) -> None:
    make_run("pictures", 100)
    run = make_run("table", 200, finished=False)
    run.previews(".csv")[-1].touch()
    assert find_run(None, tmp_path) == run


def test_without_any_run_the_message_says_how_to_train_one(tmp_path: Path) -> None:
    (tmp_path / "runs/photos").mkdir(parents=True)
    for root in (tmp_path / "none", tmp_path, tmp_path / "runs"):
        for find in (find_run, find_stopped):
            for selector in (None, "some"):
                with pytest.raises(UsageError, match="train one first with: vae train"):
                    find(selector, root)


def test_if_no_run_is_finished_the_message_says_how_to_resume_or_use_one(
    tmp_path: Path, make_run: MakeRun
) -> None:
    make_run("half", 100, finished=False)
    expected = "half is not finished: vae train --resume goes on, run half takes it"
    assert message_of(tmp_path, None) == expected


def test_weights_without_previews_are_not_a_finished_run(tmp_path: Path) -> None:
    (tmp_path / "copied").mkdir()
    (tmp_path / "copied/best.safetensors").touch()
    assert "copied is not finished" in message_of(tmp_path, None)


# --------------------------------------------------------------- with a name


@pytest.mark.parametrize("selector", ["old", "./old", "old/"])
def test_a_run_is_found_by_its_name(tmp_path: Path, make_run: MakeRun, selector: str) -> None:
    old = make_run("old", 100)
    make_run("new", 200)
    assert find_run(selector, tmp_path) == old


@pytest.mark.parametrize("selector", ["elsewhere/mine", "./elsewhere/mine/"])
def test_a_run_is_found_by_its_path(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, selector: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run("mine", 100, root=Path("elsewhere"))
    assert find_run(selector) == run
    assert find_run(str(run.path.resolve())).path == tmp_path / "elsewhere/mine"


def test_a_run_that_is_named_need_not_be_finished(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run("half", 100, finished=False)
    make_run("whole", 200)
    assert find_run("half", tmp_path) == run


def test_a_run_that_has_only_begun_is_found_only_by_its_name(tmp_path: Path) -> None:
    run = create_run(merge(), "new", tmp_path)
    assert find_run("new", tmp_path) == run
    assert "no finished run" in message_of(tmp_path, None)


def test_a_folder_with_nothing_but_weights_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/best.safetensors").touch()
    assert find_run("bare", tmp_path) == Run(tmp_path / "bare")


@pytest.mark.parametrize("selector", ["photos", "file", "other", "", " ", "small/config.toml"])
def test_what_is_not_a_run_is_refused_with_the_names_of_those_there_are(
    tmp_path: Path, make_run: MakeRun, selector: str
) -> None:
    make_run("small", 100)
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").touch()
    assert message_of(tmp_path, selector) == f"no run {selector}: there is small"


def test_the_nearest_name_is_suggested(tmp_path: Path, make_run: MakeRun) -> None:
    for name in ("small", "large"):
        make_run(name, 100)
    assert message_of(tmp_path, "smll") == "no run smll: did you mean small?"


def test_the_beginning_of_a_name_is_enough_if_no_other_run_has_it(
    tmp_path: Path, make_run: MakeRun
) -> None:
    runs = {name: make_run(name, 100) for name in ("beta", "beta-1", "beta-12", "kl")}
    assert find_run("k", tmp_path) == find_stopped("k", tmp_path) == runs["kl"]
    assert find_run("beta", tmp_path) == runs["beta"], "a whole name is that run"
    assert find_run("beta-12", tmp_path) == runs["beta-12"]
    expected = "bet: which of beta, beta-1, beta-12?"
    assert message_of(tmp_path, "bet") == expected


def test_a_folder_without_a_run_keeps_its_name_from_meaning_another_run(
    tmp_path: Path, make_run: MakeRun
) -> None:
    make_run("tab-12", 100)
    (tmp_path / "tab-1").mkdir()  # of a start that was killed
    assert message_of(tmp_path, "tab-1") == "no run tab-1: did you mean tab-12?"
    with pytest.raises(UsageError, match="no run tab-1: "):
        select_runs(["tab-1"], tmp_path)
    assert find_run("tab", tmp_path).name == "tab-12"


def test_patterns_select_several_runs(tmp_path: Path, make_run: MakeRun) -> None:
    runs = {name: make_run(name, 100) for name in ("b-1", "b-2", "c-1")}
    (tmp_path / "other").mkdir()

    def names(*patterns: str) -> list[str]:
        return [run.name for run in select_runs(patterns, tmp_path)]

    assert names() == list(runs)
    assert names("b") == names("b-*") == names("b-[12]") == ["b-1", "b-2"]
    assert names("*-1", "b") == ["b-1", "c-1", "b-2"]
    assert names(str(tmp_path / "c-1")) == ["c-1"]
    for pattern in ("d", "*-3", "", " "):
        with pytest.raises(UsageError, match="no run "):
            names("b", pattern)


def test_of_many_runs_only_the_newest_are_named(tmp_path: Path, make_run: MakeRun) -> None:
    for number in range(MAX_SUGGESTIONS + 2):
        make_run(f"run{number}", 100 * (number + 1))
    for selector in ("quite-other", ""):
        expected = f"no run {selector}: there is run6, run5, run4, run3, run2 and 2 more"
        assert message_of(tmp_path, selector) == expected


# ----------------------------------------------------------------- to resume


def test_the_run_that_stopped_last_is_resumed_before_a_finished_one(
    tmp_path: Path, make_run: MakeRun
) -> None:
    make_run("stopped-first", 100, finished=False)
    stopped = make_run("stopped-last", 200, finished=False)
    make_run("finished", 300)
    assert find_stopped(None, tmp_path) == stopped


def test_the_run_that_finished_last_is_resumed_if_none_is_stopped(
    tmp_path: Path, make_run: MakeRun
) -> None:
    make_run("older", 100)
    newest = make_run("newest", 200)
    assert find_stopped(None, tmp_path) == newest


def test_the_run_to_resume_can_be_named(tmp_path: Path, make_run: MakeRun) -> None:
    old, new = make_run("old", 100, finished=False), make_run("new", 200)
    make_run("newest", 300, finished=False)
    assert find_stopped("old", tmp_path) == old
    assert find_stopped("new", tmp_path) == new
    with pytest.raises(UsageError, match="no run other: there is newest, new, old"):
        find_stopped("other", tmp_path)
