"""What is kept and said when an evaluation, a preview or a training fails."""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Use

from vae_cli.cli._app import main
from vae_cli.runs import train as train_module
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.loading import load_model
from vae_cli.training import Metrics, evaluate, loop
from vae_cli.training.metrics import Totals

pytestmark = pytest.mark.filterwarnings("default")  # they are lines on stderr
WORDS = ("--epochs", 2, "--precision", "float32", "--name", "far")
FAR = r"row 5 \(from 0\) is [\d,e+]+ deviations from the mean in column"


def write_rows(path: Path, value: float, part: str = "test", count: int = 300) -> Path:
    """Rows in two parts as an array, or 400 rows as a table; row 5 has a large value."""
    draw = np.random.default_rng(3)
    if path.suffix == ".csv":
        rows = draw.normal(size=(400, 3)).round(4)
        rows[5, 0] = value
        np.savetxt(path, rows, fmt="%.17g", delimiter=",", header="a,b,c", comments="")
        return path
    parts = {"train": draw.normal(size=(count, 3)), "test": draw.normal(size=(30, 3))}
    parts[part][5, 0] = value
    np.savez(path, **{f"x_{name}": rows for name, rows in parts.items()})
    return path


@pytest.mark.parametrize(("file", "value"), [("x.csv", 1e4), ("x.npz", 1e4), ("x.npz", 1e200)])
def test_a_row_that_is_held_out_and_far_away_is_named_and_never_ends_a_training(
    use: Use, here: Path, file: str, value: float
) -> None:
    seen = use("train", "--data", write_rows(here / file, value), *WORDS, "--json")
    rows = json.loads(seen.out)["epochs"]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(math.isfinite(row["train_loss"] + row["test_loss"]) for row in rows)
    assert len(re.findall(f"the rows that are held out, {FAR} (a|1)", seen.err)) == 1
    run = Run(Path("runs/far"))
    for checkpoint in (load_checkpoint(run.best), load_checkpoint(run.last)):
        assert checkpoint.facts["epoch"] == 2
        for tensor in checkpoint.tensors.values():
            assert tensor.isfinite().all()
    assert run.finished
    assert not run.no_previews.exists()
    use("sample", "--run", "far", "-n", 2)
    use("train", "--resume", "far", "--epochs", 3, "-q")
    (listed,) = json.loads(use("runs", "far", "--json").out)
    assert (listed["state"], listed["epochs"]) == ("finished", 3)


def test_a_held_out_loss_that_is_not_finite_is_no_better_than_one_that_is(
    use: Use, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([math.nan, 5.0, math.inf, 4.0, math.nan, -math.inf])

    def evaluate_strangely(*arguments: Any, **settings: Any) -> Metrics:
        return dataclasses.replace(evaluate(*arguments, **settings), loss=next(losses))

    monkeypatch.setattr(loop, "evaluate", evaluate_strangely)
    words = ("--limit", 64, "--epochs", 6, "--name", "far", "--set", "training.patience=3")
    err = use("train", *words).err
    assert "best test loss 4.000, epoch 4" in err
    assert "not finite" not in err
    assert load_model(Run(Path("runs/far"))).facts.epoch == 4
    (listed,) = json.loads(use("runs", "far", "--json").out)
    assert listed["metrics"]["test_loss"] == 4.0
    use("plot", "far")


@pytest.mark.parametrize("normalization", ["quantile", "standard"])
def test_a_row_to_train_on_that_is_far_away_does_not_end_the_training(
    use: Use, here: Path, normalization: str
) -> None:
    settings = ("likelihood.name=columns", f"likelihood.normalization={normalization}")
    words = [word for setting in settings for word in ("--set", setting)]
    data = write_rows(here / "x.npz", 1e7, "train", 2000)
    rows = json.loads(use("train", "--data", data, *WORDS, *words, "--json").out)["epochs"]
    assert all(math.isfinite(row["train_loss"] + row["test_loss"]) for row in rows)


def test_a_training_that_diverges_says_so_ever_after(
    use: Use, here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_rows(here / "x.npz", 0, "train", 100)
    looks = iter([True, True, True, False])
    monkeypatch.setattr(Totals, "are_finite", lambda _: next(looks))  # one look for each epoch
    words = ("train", "--data", data, "--epochs", 8, "--precision", "float32", "--name", "far")
    assert main([*map(str, words), "-q"]) == 3
    err = capfd.readouterr().err
    assert "in epoch 4: try a lower --learning-rate; the weights of epoch " in err
    run = Run(Path("runs/far"))
    assert not run.finished
    facts = load_model(run).facts
    assert facts.diverged == 4
    assert len(run.metrics_file.read_text().splitlines()) == 4
    said = "ended in epoch 4, because its loss was not finite; these are the weights of epoch"
    for command in ("sample", "traverse"):
        assert use(command, "--run", "far").err.count(f"{said} {facts.epoch}") == 1


def test_a_preview_that_cannot_be_drawn_is_one_line_and_the_run_is_finished(
    use: Use, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError("a grid is too large")

    words = ("--limit", 64, "--name", "far")
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "write_previews", fail)
        seen = use("train", *words, "--epochs", 1)
    assert seen.err.count("it has no previews: ValueError: a grid is too large\n") == 1
    assert "samples.png" not in seen.out
    run = Run(Path("runs/far"))
    assert run.finished
    assert run.no_previews.read_text() == "ValueError: a grid is too large\n"
    use("train", "--resume", "far", "--epochs", 2)
    assert run.finished
    assert not run.no_previews.exists()
    assert all(path.is_file() for path in run.previews(".png"))


def test_reconstructions_that_are_worse_than_the_mean_item_are_a_warning(
    use: Use, here: Path
) -> None:
    """Sparse pictures with steps that are too large: every reconstruction is black."""
    grid = np.mgrid[0:28, 0:28]
    centres = np.random.default_rng(0).uniform(0, 28, (400, 2, 1, 1))
    dots = np.exp(-((grid - centres) ** 2).sum(1) / 18).astype(np.float32)
    train, test = dots[:340], dots[340:]
    np.savez(here / "dots.npz", x_train=train, x_test=test)
    words = ("train", "--data", "dots.npz", "--precision", "float32")
    line = r"worse than the mean item: their squared error is ([\d.]+), .* mean item ([\d.]+): try"
    found = re.search(
        line, use(*words, "--learning-rate", 0.15, "--epochs", 4, "--name", "black").err
    )
    assert found
    black, constant = (((test - x) ** 2).sum((1, 2)).mean() for x in (0, train.mean(0)))
    assert [float(number) for number in found.groups()] == pytest.approx(
        [black, constant], rel=1e-3
    )
    assert "mean item" not in use("train", "--limit", 1024, "--epochs", 8, "--name", "seen").err


def test_without_held_out_rows_near_the_mean_nothing_is_compared_with_it(
    use: Use, here: Path
) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2))
    np.savez(here / "far.npz", x_train=rows, x_test=np.full((1, 2), 1e4))
    err = use("train", "--data", "far.npz", *WORDS).err
    assert "row 0 (from 0) is" in err
    assert "mean item" not in err


def test_an_evaluation_that_fails_leaves_the_best_weights(
    use: Use, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def fail_at_last(*arguments: Any, **settings: Any) -> Metrics:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("no such thing happens")
        return evaluate(*arguments, **settings)

    monkeypatch.setattr(loop, "evaluate", fail_at_last)
    words = ("train", "--limit", 64, "--epochs", 3, "--name", "far", "-q")
    assert main([str(word) for word in words]) == 1
    epoch = load_model(Run(Path("runs/far"))).facts.epoch
    assert epoch == 2, "and only the first epoch was saved so far"
