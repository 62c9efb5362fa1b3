"""A resumed run has the data it was started with; other contents are refused."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support import Refused, Use

from vae_cli.data import memory
from vae_cli.errors import ChangedDataError
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import create_run
from vae_cli.runs.resolve import resolve
from vae_cli.runs.train import train_run
from vae_cli.settings import merge
from vae_cli.training import EpochReport


def write_table(path: Path, factor: float = 1.0, changed: bool = False) -> None:
    rows = np.random.default_rng(0).normal(size=(400, 3)).round(3) * factor
    if changed:
        rows[7, 1] += 0.001
    np.savetxt(path, rows, delimiter=",", fmt="%.4f")


def write_folder(path: Path, changed: bool = False) -> None:
    path.mkdir(exist_ok=True)
    generator = np.random.default_rng(1 if changed else 0)
    for number in range(40):
        pixels = generator.integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(path / f"{number}.png")


def write_array(path: Path, changed: bool = False) -> None:
    np.save(path, np.random.default_rng(1 if changed else 0).random((50, 8, 8)).astype("f4"))


CHANGES: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], None]]] = {
    "a table multiplied by 2": ("t.csv", write_table, lambda path: write_table(path, 2.0)),
    "one changed row": ("t.csv", write_table, lambda path: write_table(path, changed=True)),
    "a folder painted anew": ("f", write_folder, lambda path: write_folder(path, changed=True)),
    "another array": ("a.npy", write_array, lambda path: write_array(path, changed=True)),
}


@pytest.mark.parametrize("case", CHANGES)
def test_other_contents_are_refused(here: Path, use: Use, refused: Refused, case: str) -> None:
    name, write, change = CHANGES[case]
    write(here / name)
    words = ("--data", name, "--latent-dim", 2, "--hidden", 8)
    use("train", *words, "--epochs", 1, "--name", "run", "-q", "--set", "model.network=mlp")
    change(here / name)
    assert "data have changed" in refused("train", "--resume", "--epochs", 2, "run")
    if (here / name).is_dir():
        shutil.rmtree(here / name)
    write(here / name)
    use("train", "--resume", "run", "--epochs", 2, "-q")


@pytest.mark.parametrize("is_mapped", [False, True])
def test_an_array_that_is_cut_short_while_it_trains_does_not_kill_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_mapped: bool
) -> None:
    if is_mapped:
        monkeypatch.setattr(memory, "IN_MEMORY", 0)
    path = tmp_path / "a.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8))
    tables = {
        "data": {"name": str(path)},
        "model": {"hidden": [4], "latent_dim": 2},
        "training": {"epochs": 3, "save_every": "10m"},
    }
    resolved = resolve(merge(("", tables)), torch.device("cpu"))
    run = create_run(resolved.config, "run", tmp_path)

    def report(epoch: EpochReport) -> None:
        if epoch.epoch == 2:
            os.truncate(path, 100)

    if not is_mapped:
        assert len(train_run(run, resolved, report=report).rows) == 3
        return
    with pytest.raises(ChangedDataError, match=r"a\.npy was changed while it was in use"):
        train_run(run, resolved, report=report)
    assert load_checkpoint(run.best).facts["epoch"] == 2, "the best weights are kept"
