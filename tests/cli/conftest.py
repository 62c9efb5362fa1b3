"""Fixtures that tests of several commands use."""

import subprocess
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pictures import table
from PIL import Image, ImageSequence
from support import call

from vae_cli.cli._app import main
from vae_cli.rendering.animation import FRAME_MILLISECONDS

Read = Callable[..., np.ndarray]


class Repetition(NamedTuple):
    """What the console script printed, and the run that it wrote."""

    done: subprocess.CompletedProcess[str]
    run: Path


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for decoded pictures; it is not in the folder of the test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VAE_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def repetition(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Repetition:
    """The run of `home` trained again, as `again`, from the config that it wrote."""
    folder = tmp_path_factory.mktemp("again")
    settings = home / "runs/small/config.toml"
    done = call("train", "--config", settings, "--name", "again", cwd=folder)
    assert done.returncode == 0, done.stderr
    return Repetition(done, folder / "runs/again")


@pytest.fixture(scope="session")
def wine_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table `wine.csv` and a run on it, `runs/wine`; tests only read from it."""
    folder = tmp_path_factory.mktemp("wine")
    table(folder / "wine.csv", "wine")
    words = ["train", "--data", "wine.csv", "--epochs", "2", "--precision", "float32"]
    with chdir(folder):
        assert main([*words, "--name", "wine", "-q"]) == 0
    return folder


@pytest.fixture
def wine(tmp_path: Path, wine_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, made the current one, with the table and the run of `wine_home`."""
    (tmp_path / "runs").mkdir(exist_ok=True)
    for name in ("wine.csv", "runs/wine"):
        (tmp_path / name).symlink_to(wine_home / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture).astype(int)


def read_tiles(path: Path | str, edge: int = 28) -> np.ndarray:
    grid, step = read_pixels(path), edge + 1
    rows, columns = grid.shape[0] // step, grid.shape[1] // step
    cut = grid[1 : 1 + rows * step, 1 : 1 + columns * step]
    cut = cut.reshape(rows, step, columns, step, *grid.shape[2:]).swapaxes(1, 2)
    return cut[:, :, :edge, :edge]


def read_frames(path: Path | str) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0, "the animation repeats without end"
        found = []
        for frame in ImageSequence.Iterator(picture):
            found.append(np.array(frame.convert("L")).astype(int))
            assert frame.info["duration"] == FRAME_MILLISECONDS
    return np.array(found)


@pytest.fixture
def pixels() -> Read:
    """Read a picture: `pixels(path)` is `(H, W)` or `(H, W, 3)`, 0 to 255."""
    return read_pixels


@pytest.fixture
def tiles() -> Read:
    """Read a grid that was written with scale 1: `tiles(path, edge)` is `(rows, columns, ...)`."""
    return read_tiles


@pytest.fixture
def frames() -> Read:
    """Read a grey animation: `frames(path)` is `(F, H, W)`, 0 to 255."""
    return read_frames
