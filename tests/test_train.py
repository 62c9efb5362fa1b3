"""`vae_cli.train`: training from a program instead of the command line."""

import csv
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae_cli import load, train
from vae_cli.api.model import TrainedModel
from vae_cli.errors import UsageError, VAEError
from vae_cli.runs.directory import Run
from vae_cli.runs.lookup import find_run
from vae_cli.settings import Config

SETTINGS: dict[str, dict[str, Any]] = {
    "data": {"limit": 96},
    "model": {"hidden": (16,), "latent_dim": 3},
    "training": {"epochs": 2, "batch_size": 32, "device": "cpu"},
}
FILES = {
    *("config.toml", "metrics.csv", "best.safetensors", "last.safetensors"),
    *("reconstructions.png", "samples.png"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, Path]:
    """What `train` returned, and the folder in which it was called."""
    path = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        return train(SETTINGS, name="mine"), path


def test_a_program_is_told_how_several_processes_are_started(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"in one process; .* vae train --processes 2"):
        train(SETTINGS | {"training": {"processes": 2}})
    assert not list(folder.iterdir())


def test_training_returns_a_model_whose_run_is_complete(
    trained: tuple[TrainedModel, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = trained
    monkeypatch.chdir(path)
    assert repr(model) == "<TrainedModel mine: fashion-mnist, 3 latent dimensions>"
    assert model.sample(2, seed=0).shape == (2, 1, 28, 28)

    run = Run(Path("runs/mine"))
    assert run.finished
    assert {path.name for path in run.path.iterdir()} == FILES
    assert find_run(None) == run
    with run.metrics_file.open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]

    loaded = load("mine", device="cpu")
    assert model.settings == loaded.settings
    assert model.epoch == loaded.epoch
    assert (model.kl_by_dim == loaded.kl_by_dim).all()
    assert (model.sample(2, seed=0) == loaded.sample(2, seed=0)).all()


def test_settings_are_as_in_a_config_file_and_the_others_have_their_defaults(
    trained: tuple[TrainedModel, Path],
) -> None:
    model, path = trained
    written = tomllib.loads((path / "runs/mine/config.toml").read_text())
    assert written["data"]["limit"] == 96
    assert written["model"]["hidden"] == [16]
    assert written["training"]["batch_size"] == 32
    assert written["optimizer"]["learning_rate"] == Config().optimizer.learning_rate
    assert model.settings.model.latent_dim == 3


def test_the_same_settings_give_the_same_model_and_nothing_is_printed(
    trained: tuple[TrainedModel, Path], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = train(SETTINGS, name="again")
    assert capfd.readouterr() == ("", "")
    assert (again.sample(2, seed=0) == trained[0].sample(2, seed=0)).all()


def test_runs_without_a_name_get_names_of_their_own(folder: Path) -> None:
    names = {train(SETTINGS).name, train(SETTINGS).name}
    assert names == {path.name for path in Path("runs").iterdir()}
    assert all(name.startswith("fashion-mnist-mlp-") for name in names)


def test_an_array_that_was_saved_can_be_trained_on(folder: Path) -> None:
    np.save("images.npy", np.random.default_rng(0).random((80, 16, 16), np.float32))
    model = train({**SETTINGS, "data": {"name": "images.npy"}, "model": {"network": "mlp"}})
    assert model.settings.data.name == str(folder / "images.npy")
    assert model.sample(1).shape == (1, 1, 16, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"training": {"epoch": 1}},
            "settings: training.epoch is not a setting; the nearest is training.epochs",
        ),
        (
            {"trainig": {"epochs": 1}},
            "settings: trainig is not a setting; the nearest is training",
        ),
        ({"training": {"epochs": "1"}}, 'settings: training.epochs = "1": must be'),
        ({"training": 1}, "settings: training is not a setting"),
        ({"data": {"name": "missing.npy"}}, "missing.npy: no such folder, file or data set"),
        ({"data": {"name": "missing"}}, "missing: no such folder, file or data set"),
        (
            {"data": {"limit": 96}, "model": {"network": "conv", "hidden": [16]}},
            "settings: model.hidden is for model.network mlp",
        ),
    ],
    ids=[
        "unknown key",
        "unknown section",
        "type",
        "no table",
        "no file",
        "no data",
        "contradiction",
    ],
)
def test_settings_that_are_not_allowed_are_refused_in_one_line(
    folder: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        train(settings, name="mine")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["../outside", ""])
def test_a_name_that_is_not_a_plain_folder_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="use letters, digits, dots and dashes"):
        train(SETTINGS, name=name)
    assert not list(folder.iterdir())


def test_a_name_that_is_taken_is_refused_and_its_run_stays_as_it_is(folder: Path) -> None:
    train(SETTINGS, name="mine")
    before = {path: path.read_bytes() for path in Path("runs/mine").iterdir()}
    with pytest.raises(VAEError, match="runs/mine exists already"):
        train(SETTINGS, name="mine")
    assert {path: path.read_bytes() for path in Path("runs/mine").iterdir()} == before
