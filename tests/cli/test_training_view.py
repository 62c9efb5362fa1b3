"""What is printed during training: a row per epoch, a progress bar, and a summary."""

import csv
import dataclasses
import io
import math
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import table
from rich.console import Console
from support import CONTROL, VAE, Use

from vae_cli.cli import _training
from vae_cli.cli._console import Terminal
from vae_cli.cli._training import (
    COLLAPSE_PAGE,
    CORES_PAGE,
    SHARED_CORES,
    TrainingView,
    describe,
    format_figure,
)
from vae_cli.runs.directory import Run
from vae_cli.runs.resolve import Resolved, resolve
from vae_cli.settings import merge
from vae_cli.threads import CoreWatch, SleepingThreads
from vae_cli.training import EpochReport
from vae_cli.training.metrics import Metrics

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
DIM, YELLOW = "\x1b[2m", "\x1b[33m"


# ------------------------------------------------------------------- on a pipe


def test_on_a_pipe_each_epoch_is_a_row_of_a_plain_table(repetition: Any) -> None:
    done, run = repetition
    assert not CONTROL.search(done.stdout + done.stderr)
    head, *rows, reconstructions, samples = done.stdout.splitlines()
    assert head.split()[0] == "epoch"
    assert [row.split()[0] for row in rows] == ["1", "2"]
    assert [reconstructions, samples] == [
        "runs/again/reconstructions.png",
        "runs/again/samples.png",
    ]
    assert {len(line) for line in (head, *rows)} == {len(head)}, "the columns are aligned"
    with (run / "metrics.csv").open(newline="") as file:
        metrics = list(csv.DictReader(file))
    for row, expected in zip(rows, metrics, strict=True):
        *numbers, active, seconds = row.split()
        assert [float(number) for number in numbers] == pytest.approx(
            [float(value) for value in list(expected.values())[:7]], abs=1e-3
        )
        assert active == f"{expected['active_dims']}/20"
        assert float(seconds) == pytest.approx(float(expected["seconds"]), abs=0.01)


def test_the_notes_say_where_it_runs_on_what_and_what_to_try_next(repetition: Any) -> None:
    where, what, *rest = repetition.done.stderr.splitlines()
    assert re.match(r"runs/again, (cpu|cuda)", where)
    assert what.startswith("fashion-mnist: 2,048 images of 28x28 grey, 2,048 held out; mlp with ")
    commands = ("reconstruct", "sample", "traverse --dim all")
    assert rest[-3:] == [f"try: vae {command} --run again" for command in commands]


def test_a_figure_is_as_wide_as_its_column_whatever_its_size() -> None:
    values = (0.0, -1.5, 9999.9994, 12_431_877_629.542, 8.49e31, math.inf, math.nan)
    texts = [format_figure(value) for value in values]
    assert texts == ["0.000", "-1.500", "9999.999", "1.24e+10", "8.49e+31", "inf", "nan"]


# --------------------------------------------------------------- on a terminal


def run_on_terminal(folder: Path, *words: str, code: int = 0, **environment: str) -> str:
    """What a terminal receives from a command that ends with an exit code."""
    master, slave = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "CI"}}
    with subprocess.Popen(
        [VAE, *words],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**kept, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    ) as process:
        os.close(slave)
        received = b"".join(read_pieces(master))
    os.close(master)
    assert process.returncode == code, received.decode()
    return received.decode()


def read_pieces(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the last writer has closed it
            return
        if not piece:
            return
        yield piece


@pytest.mark.slow
def test_a_terminal_shows_a_moving_bar_and_is_left_as_it_was(tmp_path: Path) -> None:
    seen = run_on_terminal(tmp_path, "train", "--limit", "1024", "--epochs", "6", "--name", "t")
    bars = {line for line in re.split(r"[\r\n]+", seen) if "━" in line}
    assert len(bars) >= 3, "the bar moves"
    assert "items/s" in seen
    assert COLOUR.search(seen)
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l"), "the cursor is visible again"
    assert seen.rfind("━") < seen.rfind("samples.png"), "the bar is gone at the end"
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    for epoch in range(1, 7):
        assert re.search(rf"[\r\n] +{epoch} +\d", text), f"row {epoch} starts a line"


def test_an_error_is_coloured_on_a_terminal_but_not_with_no_color(tmp_path: Path) -> None:
    words = ("train", "--name", "x", "--resume")
    assert COLOUR.search(run_on_terminal(tmp_path, *words, code=2))
    assert not COLOUR.search(run_on_terminal(tmp_path, *words, code=2, NO_COLOR="1"))


@pytest.mark.slow
def test_a_training_on_a_terminal_has_no_colour_with_no_color(tmp_path: Path) -> None:
    table(tmp_path / "wine.csv", "wine")
    words = ("train", "--data", "wine.csv", "--epochs", "1", "--name", "t")
    assert not COLOUR.search(run_on_terminal(tmp_path, *words, NO_COLOR="1"))


# ----------------------------------------------------------------- the summary


@pytest.fixture(scope="module")
def resolved() -> Resolved:
    """A training on 64 images with enough steps, and otherwise the default settings."""
    settings = {"data": {"limit": 64}, "training": {"epochs": 600}}
    return resolve(merge(("test", settings)), torch.device("cpu"))


def change(resolved: Resolved, section: str, **values: Any) -> Resolved:
    """The same training with other settings."""
    changed = dataclasses.replace(getattr(resolved.config, section), **values)
    config = dataclasses.replace(resolved.config, **{section: changed})
    return dataclasses.replace(resolved, config=config)


def summarize(resolved: Resolved, *active: int) -> list[str]:
    """The lines on stderr, with styles, after a training in which the last epoch is the best."""
    terminal, buffer = Terminal(), io.StringIO()
    terminal.err = Console(
        file=buffer,
        force_terminal=True,
        color_system="standard",
        soft_wrap=True,
        highlight=False,
        width=200,
    )
    rows = [
        {"epoch": epoch, "test_loss": 100.0 - epoch, "active_dims": count}
        for epoch, count in enumerate(active, 1)
    ]
    run = Run(Path("runs/x"))
    TrainingView(terminal, run, resolved).summarize(run, rows)
    return buffer.getvalue().splitlines()


def summary_line(lines: list[str], words: str) -> str:
    """The only line that contains these words."""
    (line,) = (line for line in lines if words in line)
    return line


def test_that_the_processor_is_shared_is_said_once(
    resolved: Resolved, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    watch = CoreWatch(dict, SleepingThreads())
    monkeypatch.setattr(_training, "watch_cores", lambda: watch)
    view = TrainingView(Terminal(), Run(Path("runs/x")), resolved)
    means = Metrics(3.0, {"kl": 1.0, "mse": 2.0}, -4.0, torch.ones(2))
    for was_shared in (False, True, True):
        watch.was_shared = was_shared
        view.report(EpochReport(1, means, means, 0.5))
    assert capfd.readouterr().err == f"{SHARED_CORES}; see {CORES_PAGE}\n"


def test_the_summary_names_the_best_epoch_and_the_files(
    resolved: Resolved, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = summarize(resolved, 3, 5)
    assert summary_line(lines, "best test loss").startswith(f"{DIM}best test loss 98.000, epoch 2")
    assert "5 of 20" in summary_line(lines, "latent dimensions"), "those of the best epoch"
    assert capfd.readouterr().out == "runs/x/reconstructions.png\nruns/x/samples.png\n"


@pytest.mark.parametrize(("active", "latent_dim"), [(7, 20), (2, 20), (19, 20), (1, 2)])
def test_some_inactive_dimensions_are_a_neutral_note(
    resolved: Resolved, active: int, latent_dim: int
) -> None:
    lines = summarize(change(resolved, "model", latent_dim=latent_dim), active)
    line = summary_line(lines, "latent dimensions")
    note = f"{active} of {latent_dim} latent dimensions are active; {COLLAPSE_PAGE} explains why"
    assert line.startswith(f"{DIM}{note}")
    assert not any(YELLOW in line for line in lines)
    assert not any("--beta" in line for line in lines), "no advice, because nothing is wrong"


@pytest.mark.parametrize(("active", "latent_dim"), [(0, 20), (1, 20), (1, 3), (0, 2), (0, 1)])
def test_no_active_dimension_or_one_of_many_is_a_warning(
    resolved: Resolved, active: int, latent_dim: int
) -> None:
    lines = summarize(change(resolved, "model", latent_dim=latent_dim), active)
    line = summary_line(lines, "latent dimensions")
    assert line.startswith(f"{YELLOW}{active} of {latent_dim} latent dimensions are active: try ")
    for word in ("--beta", "--epochs", COLLAPSE_PAGE):
        assert word in line


def test_if_all_dimensions_are_active_nothing_is_said_about_them(resolved: Resolved) -> None:
    for latent_dim in (1, 20):
        lines = summarize(change(resolved, "model", latent_dim=latent_dim), latent_dim)
        assert not any("latent dimensions" in line for line in lines)


def test_the_page_about_collapse_exists() -> None:
    page, _, heading = COLLAPSE_PAGE.partition("#")
    text = (Path(__file__).parents[2] / page).read_text()
    assert re.search(rf"^#+ {heading.replace('-', ' ')}$", text, re.MULTILINE | re.IGNORECASE)


def test_a_training_that_leaves_dimensions_out_gets_the_neutral_note(use: Use, wine: Path) -> None:
    _, err = use("train", "--data", "wine.csv", "--epochs", 260, "--beta", 2)
    assert re.search(rf"^\d+ of 20 latent dimensions are active; {COLLAPSE_PAGE} ", err, re.M)
    assert "try a lower --beta" not in err


def test_a_training_that_collapses_gets_the_warning(use: Use, wine: Path) -> None:
    words = ("train", "--data", "wine.csv", "--epochs", 260, "--precision", "float32")
    _, err = use(*words, "--beta", 1000, "--name", "collapsed")
    line = f"^0 of 20 latent dimensions are active: try a lower --beta .*{COLLAPSE_PAGE}$"
    assert re.search(line, err, re.MULTILINE)
    for command in ("sample", "traverse"):
        said = "0 of 20 latent dimensions are active: hardly anything tells items apart"
        assert use(command, "--run", "collapsed").err.count(said) == 1


@pytest.mark.slow
def test_the_default_data_get_the_neutral_note(use: Use) -> None:
    _, err = use("train", "--epochs", 3)
    assert re.search(rf"^\d+ of 20 latent dimensions are active; {COLLAPSE_PAGE} ", err, re.M)
    assert "--beta" not in err


def test_few_steps_get_the_number_of_epochs_that_is_enough(resolved: Resolved) -> None:
    whole = change(resolved, "data", limit=0)  # 64 images, of which none are left out
    lines = summarize(change(whole, "training", epochs=3, batch_size=16), 20)
    expected = f"{YELLOW}12 steps are few for Adam: try --epochs 125"
    assert summary_line(lines, "steps").startswith(expected)
    for enough in (change(whole, "training", epochs=125, batch_size=16), resolved):
        assert not any("steps" in line for line in summarize(enough, 20))


def test_the_description_has_the_data_and_the_size_of_the_network(resolved: Resolved) -> None:
    assert describe(resolved) == (
        "fashion-mnist: 64 images of 28x28 grey, 64 held out; mlp with 652,824 parameters, "
        "0.65 M multiply-adds per item, 1 MiB per batch"
    )
