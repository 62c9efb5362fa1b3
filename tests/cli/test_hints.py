"""What is said after a training, and which run is used."""

import io
import re
from pathlib import Path

import pytest
import torch
from rich.console import Console
from support import Refused, Use

from vae_cli.cli._console import Terminal
from vae_cli.cli._training import ENOUGH_STEPS, TrainingView
from vae_cli.runs.directory import Run
from vae_cli.runs.resolve import Resolved, resolve
from vae_cli.settings import merge


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 78 rows, of which some are held out."""
    path = tmp_path_factory.mktemp("data") / "x.csv"
    path.write_text("".join(f"{number / 2},{number * number % 7}\n" for number in range(78)))
    return path


def resolve_table(data: Path, epochs: int, batch_size: int | None = None) -> Resolved:
    """A training on the table, in batches of which seven make an epoch if there is no size."""
    if batch_size is None:
        batch_size = -(-len(resolve_table(data, 1, 1).train) // 7)
    training = {"epochs": epochs, "batch_size": batch_size, "precision": "float32"}
    settings = {"data": {"name": str(data)}, "training": training}
    return resolve(merge(("test", settings)), torch.device("cpu"))


def summarize(resolved: Resolved, active: int = 20) -> str:
    terminal, buffer = Terminal(), io.StringIO()
    terminal.err = Console(file=buffer, soft_wrap=True)
    rows = [{"epoch": 1, "test_loss": 1.0, "active_dims": active}]
    run = Run(Path("runs/x"))
    TrainingView(terminal, run, resolved).summarize(run, rows)
    return buffer.getvalue()


@pytest.mark.parametrize(("epochs", "steps"), [(1, 7), (71, 497)])
def test_the_number_of_epochs_that_is_advised_is_enough(
    data: Path, epochs: int, steps: int
) -> None:
    text = summarize(resolve_table(data, epochs))
    assert f"{steps} steps are few for Adam: try --epochs 72\n" in text
    assert 71 * 7 < ENOUGH_STEPS <= 72 * 7


def test_one_step_is_singular(data: Path) -> None:
    text = summarize(resolve_table(data, 1, 1000))
    assert "1 step is too few for Adam: try --epochs 500\n" in text


def test_no_active_dimension_is_said_however_short_the_training(data: Path) -> None:
    for epochs in (1, 71, 72):
        text = summarize(resolve_table(data, epochs), 0)
        assert text.count("0 of 20 latent dimensions are active: try a lower --beta or more") == 1


@pytest.mark.parametrize("active", [1, 5])
def test_few_steps_say_nothing_about_latent_dimensions(data: Path, active: int) -> None:
    assert "latent dimensions" not in summarize(resolve_table(data, 71), active)
    assert "latent dimensions" in summarize(resolve_table(data, 72), active)
    assert "steps" not in summarize(resolve_table(data, 72), active)


def test_the_run_that_is_used_is_named_with_what_it_is(use: Use) -> None:
    words = ["--limit", 64, "--precision", "float32"]
    use("train", *words, "--epochs", 1, "--name", "once")
    err = use("sample", "-n", 2).err
    assert err.startswith("run runs/once: newest of 2; 64 items of fashion-mnist, 1 epoch; cpu (")
    err = use("sample", "-n", 2, "--run", "small").err
    assert re.match(r"run runs/small: 2,048 items of fashion-mnist, epoch [12] of 2; cpu \(", err)


def test_the_list_of_runs_says_how_many_more_there_are(here: Path, refused: Refused) -> None:
    for number in range(8):
        (here / f"runs/r{number}").symlink_to(here / "runs/small")
    line = refused("sample", "--run", "zzz")
    assert line.startswith("no run zzz: there is ")
    assert line.endswith(" and 4 more")
