"""`vae runs`: the list, the groups, the files, and removing."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import Refused, Use

from vae_cli.cli._app import main
from vae_cli.runs.checkpoint import load_checkpoint, read_weights_digest, save_checkpoint
from vae_cli.runs.compare import MIXED_DATA
from vae_cli.runs.directory import Run, locked

EVALUATION = {"figures": {"nll": {"value": 24.0, "error": 0.25}}}


@pytest.fixture
def three(here: Path, home: Path) -> Path:
    """`b0.5-s0`, `b0.5-s1` and `b2-s0`, with the files of the run of `home`, and no other run."""
    (here / "runs/small").unlink()
    for beta, seed in (("0.5", 0), ("0.5", 1), ("2", 0)):
        path = here / f"runs/b{beta}-s{seed}"
        shutil.copytree(home / "runs/small", path)
        config = path / "config.toml"
        text = config.read_text().replace("beta = 1.0", f"beta = {float(beta)}")
        config.write_text(text.replace("seed = 0", f"seed = {seed}"))
    return here


def test_one_row_per_run_with_what_differs_and_a_remark_about_the_rest(
    three: Path, use: Use
) -> None:
    said = use("runs", "--sort", "name")
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0][:6] == ["name", "state", "seed", "beta", "epochs", "test_kl"]
    assert [line[:5] for line in lines[1:]] == [
        ["b0.5-s0", "finished", "0", "0.5", "2"],
        ["b0.5-s1", "finished", "1", "0.5", "2"],
        ["b2-s0", "finished", "0", "2.0", "2"],
    ]
    assert said.err == "all runs: data fashion-mnist, model mlp, epochs 2\n"


def test_patterns_choose_runs(three: Path, use: Use, refused: Refused) -> None:
    def names(*words: str) -> list[str]:
        return [run["name"] for run in json.loads(use("runs", *words, "--json").out)]

    assert sorted(names("b0")) == ["b0.5-s0", "b0.5-s1"]
    assert sorted(names("*-s0")) == ["b0.5-s0", "b2-s0"]
    assert names("b2-s0", "b2", "runs/b2-s0") == ["b2-s0"]
    shutil.copytree("runs/b2-s0", "runs/b2-s01")
    assert names("b2-s0") == ["b2-s0"], "a whole name is that run alone"
    assert sorted(names("b2")) == ["b2-s0", "b2-s01"]
    shutil.rmtree("runs/b2-s01")
    assert names("*", "--sort", "beta", "--reverse")[0] == "b2-s0"
    assert refused("runs", "x*").startswith("no run x*: ")


def test_groups_are_over_the_seeds(three: Path, use: Use) -> None:
    (first, second) = json.loads(use("runs", "--group", "beta", "--json").out)
    assert first["runs"] == ["b0.5-s0", "b0.5-s1"]
    assert first["figures"]["test_loss"]["std"] == 0
    assert second["figures"]["test_loss"]["std"] is None
    assert [line.split()[:2] for line in use("runs", "--group", "beta").out.splitlines()] == [
        ["beta", "n"],
        ["0.5", "2"],
        ["2.0", "1"],
    ]


def test_what_differs_within_a_group_and_what_is_left_out_are_said(three: Path, use: Use) -> None:
    Path("runs/b2-s0/samples.png").unlink()
    Run(Path("runs/new")).path.mkdir()
    shutil.copy("runs/b2-s0/config.toml", "runs/new")
    said = use("runs", "--group", "model")
    assert "left out because they are not finished: 2 of 4 runs\n" in said.err
    config = Path("runs/b0.5-s1/config.toml")
    config.write_text(config.read_text().replace("learning_rate = 0.005", "learning_rate = 0.1"))
    assert (
        "within a group, these settings differ too: learning-rate"
        in use("runs", "--group", "beta").err
    )


def test_data_that_changed_between_the_runs_of_a_group_are_said(three: Path, use: Use) -> None:
    words = (["runs", "--group", "beta"], ["plot", "b0.5*", "--force"])
    assert all(MIXED_DATA not in use(*one).err for one in words)
    best = Run(Path("runs/b0.5-s1")).best
    checkpoint = load_checkpoint(best)
    save_checkpoint(best, replace(checkpoint, facts={**checkpoint.facts, "data_digest": "other"}))
    assert all(MIXED_DATA in use(*one).err for one in words)


def test_a_stopped_run_shows_how_far_it_came(three: Path, use: Use) -> None:
    config = Path("runs/b2-s0/config.toml")
    config.write_text(config.read_text().replace("epochs = 2", "epochs = 20"))
    Path("runs/b2-s0/samples.png").unlink()
    header, *_, row = use("runs", "--sort", "beta").out.splitlines()
    assert header.split()[4:6] == ["epochs", "of"]
    assert row.split()[1:6] == ["stopped", "0", "2.0", "2", "20"]


def test_the_table_is_written_as_csv_markdown_and_json(three: Path, use: Use) -> None:
    weights = read_weights_digest(Path("runs/b2-s0/best.safetensors"))
    Path("runs/b2-s0/evaluation.json").write_text(json.dumps(EVALUATION | {"weights": weights}))
    assert use("runs", "-o", "t.csv").out == "t.csv\n"
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(Path("t.csv").read_text()))}
    assert (rows["b2-s0"]["nll"], rows["b2-s0"]["nll_error"]) == ("24.0", "0.25")
    assert rows["b0.5-s0"]["nll"] == ""
    use("runs", "-o", "t.md", "--sort", "name")
    lines = Path("t.md").read_text().splitlines()
    assert lines[0].startswith("| name | state |")
    assert lines[-1].endswith("| 24.000 ± 0.250 |")
    assert len({line.count("|") for line in lines}) == 1
    use("runs", "-o", "t.json")
    assert json.loads(Path("t.json").read_text()) == json.loads(use("runs", "--json").out)
    use("runs", "--group", "beta", "-o", "g.csv")
    assert Path("g.csv").read_text().startswith("beta,n,test_kl,test_kl_std,")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--group", "betta"], "--group: betta is not a setting; the nearest is beta"),
        (["--yes"], "--yes has no effect here: leave it out, or use vae runs rm NAME --yes"),
        (["rm"], "vae runs rm: name the runs to remove"),
        (["rm", "b2-s0", "--sort", "loss"], "--sort has no effect here: leave it out, or leave"),
        (["rm", "b*"], "this would remove 3 runs: b0.5-s0, b0.5-s1, b2-s0; add --yes to do it"),
        (["rm", "b0", "--yes"], "no run b0: write the whole name of what to remove: b0.5-s0, b0"),
        (["rm", "runs/b2-s0/best.safetensors", "--yes"], "no run runs/b2-s0/best.safetensors: "),
        (["rm", " ", "--yes"], "no run  : "),
        (["-o", "t.txt"], "--output t.txt: end the name with .csv, .md, .tex or .json"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    three: Path, refused: Refused, words: list[str], line: str
) -> None:
    assert refused("runs", *words).startswith(line)


def test_an_evaluation_of_other_weights_is_left_out_and_said_to_be(three: Path, use: Use) -> None:
    Path("runs/b2-s0/evaluation.json").write_text(json.dumps(EVALUATION | {"weights": "0" * 64}))
    said = use("runs", "--json")
    assert "left out: the evaluation of b2-s0, which is not of the weights there are" in said.err
    assert not any(run["evaluation"] for run in json.loads(said.out))


# ------------------------------------------------------------------- removing


@pytest.mark.parametrize(("answer", "left"), [("y\n", 1), ("n\n", 3), ("\n", 3)])
def test_runs_are_removed_after_a_question(
    three: Path, use: Use, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert "remove 2 runs: b0.5-s0, b0.5-s1? [y/N]" in use("runs", "rm", "b0.5-*").err
    assert len(list(Path("runs").iterdir())) == left


def test_yes_answers_the_question(three: Path, use: Use) -> None:
    said = use("runs", "rm", "b2-s0", "--yes", "--json")
    assert json.loads(said.out) == {"removed": ["b2-s0"]}
    assert not Path("runs/b2-s0").exists()


def test_a_run_that_is_being_trained_is_not_removed(three: Path, refused: Refused) -> None:
    with locked(Run(Path("runs/b2-s0"))):
        line = refused("runs", "rm", "b*", "--yes")
    assert line == "run b2-s0 is being trained: stop it first"


def test_only_the_link_to_a_run_is_removed(use: Use, home: Path) -> None:
    use("runs", "rm", "small", "--yes")
    assert not Path("runs/small").is_symlink()
    assert (home / "runs/small/config.toml").is_file()


def test_a_whole_name_removes_no_run_whose_name_begins_with_it(three: Path, use: Use) -> None:
    shutil.copytree("runs/b2-s0", "runs/b2-s01")
    use("runs", "rm", "b2-s0", "--yes")
    assert not Path("runs/b2-s0").exists()
    assert Path("runs/b2-s01/best.safetensors").is_file()


def test_only_a_folder_that_is_a_run_is_removed(three: Path, refused: Refused, use: Use) -> None:
    foreign = {
        "elsewhere": "[data]\n",  # settings of ours, but not in the folder of the runs
        "runs/other": "[tool]\na = 1\n",
        "runs/text": "not settings",
    }
    for folder, text in foreign.items():
        Path(folder).mkdir()
        Path(folder, "config.toml").write_text(text)
        Path(folder, "thesis.tex").touch()
        line = refused("runs", "rm", folder, "--yes")
        assert line == f"{folder} has no checkpoint of vae: it is not a run, and is not removed"
    shutil.copytree("runs/b2-s0", "elsewhere/b2")
    Path("runs/empty").mkdir()
    Path("runs/torn").mkdir()
    Path("runs/torn/config.toml").touch()
    Path("runs/gone").symlink_to("nowhere")
    use("runs", "rm", "elsewhere/b2", "empty", "torn", "gone", "--yes")
    use("runs", "rm", "*", "--yes")
    assert sorted(path.name for path in Path("runs").iterdir()) == ["other", "text"]
    assert all(Path(folder, "thesis.tex").is_file() for folder in foreign)


def test_what_vae_did_not_write_is_named_before_it_is_removed(
    three: Path, use: Use, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("runs/b2-s0/notes").mkdir()
    Path("runs/b2-s0/plan.txt").touch()
    line = refused("runs", "rm", "b2-s0", "--yes")
    assert "hold b2-s0/notes/, b2-s0/plan.txt: move it elsewhere" in line
    expected = "1 run: b2-s0, with what vae did not write: b2-s0/notes/, b2-s0/plan.txt"
    assert refused("runs", "rm", "b2-s0") == f"this would remove {expected}; move that elsewhere"
    terminal = io.StringIO("y\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert f"remove {expected}? [y/N]" in use("runs", "rm", "b2-s0").err
    assert not Path("runs/b2-s0").exists()


@pytest.mark.parametrize("years", [-60, 30])
def test_times_that_cannot_be_true_change_no_state_and_are_not_the_newest(
    three: Path, use: Use, years: int
) -> None:
    for path in Path("runs/b2-s0").iterdir():
        at = max(0.0, time.time() + years * 365 * 24 * 3600)  # an archive without times, or a clock
        os.utime(path, (at, at))
    found = {run["name"]: run["state"] for run in json.loads(use("runs", "--json").out)}
    assert set(found.values()) == {"finished"}
    assert "run runs/b2-s0" not in use("sample", "-n", 1).err


# ---------------------------------------------------------------- many, and fast


def make_runs(folder: Path, small: Path, count: int) -> Path:
    """A folder with finished runs of 20 epochs."""
    header, row, *_ = (small / "metrics.csv").read_text().splitlines()
    for number in range(count):
        run = Run(folder / f"runs/run-{number}")
        run.path.mkdir(parents=True)
        shutil.copy(small / "config.toml", run.path)
        run.metrics_file.write_text("\n".join([header, *[row] * 20]))
        run.best.touch()
        run.previews(".png")[-1].touch()
    return folder


def list_runs(folder: Path) -> float:
    """List the runs of a folder without torch; returns the seconds of processor time."""
    script = (
        "import sys; from vae_cli.cli._app import main; code = main(['runs'])\n"
        "sys.exit(code or 3 * ('torch' in sys.modules or 'numpy' in sys.modules))"
    )
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, check=False
    )
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == 1 + len(list(folder.glob("runs/*")))
    started = before.children_user + before.children_system
    return after.children_user + after.children_system - started


@pytest.mark.slow
def test_a_thousand_runs_are_listed_in_a_few_times_the_time_of_one(
    tmp_path: Path, home: Path
) -> None:
    one = make_runs(tmp_path / "one", home / "runs/small", 1)
    thousand = make_runs(tmp_path / "thousand", home / "runs/small", 1000)
    seconds = [(list_runs(one), list_runs(thousand)) for _ in range(3)]
    assert min(long for _, long in seconds) < 5 * min(short for short, _ in seconds)


def test_on_a_narrow_terminal_the_last_columns_are_named_instead(
    three: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.cli._console.MAX_WIDTH", 50)
    assert main(["runs"]) == 0
    out, err = capfd.readouterr()
    assert max(map(len, out.splitlines())) <= 50
    assert "too narrow for test_mse, test_loss, " in err
    assert "active_dims: widen the terminal, or write -o FILE.csv\n" in err


def test_hostile_names_are_printed_and_written_without_control_characters(
    three: Path, use: Use
) -> None:
    shutil.copytree("runs/b2-s0", "runs/\x1b[31m=1+1|\u202e")
    shown = use("runs").out
    assert "\\x1b[31m=1+1|\\u202e" in shown
    use("runs", "-o", "t.md")
    assert "\x1b" not in Path("t.md").read_text()
    use("plot", "*1+1*")
