"""The data of a run: as far as it used them, wherever they are, and said to have changed if so."""

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vae_cli import load, train
from vae_cli.api.embeddings import embed
from vae_cli.api.evaluation import evaluate_model, with_sampler
from vae_cli.errors import UsageError

TINY: dict[str, Any] = {
    "model": {"network": "mlp", "hidden": (8,), "latent_dim": 2},
    "training": {"epochs": 1, "device": "cpu", "precision": "float32"},
}


def pictures(path: Path, seed: int = 0) -> None:
    """A folder with two classes of pictures."""
    random = np.random.default_rng(seed)
    for number in range(40):
        folder = path / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def array(path: Path, seed: int = 0) -> None:
    """Images with labels in one part."""
    random = np.random.default_rng(seed)
    np.savez(path, images=random.integers(0, 256, (90, 6, 6), np.uint8), labels=np.arange(90) % 3)


def table(path: Path, seed: int = 0) -> None:
    """Rows with a column of classes and missing values."""
    rows = np.random.default_rng(seed).normal(size=(80, 3)).round(3)
    lines = [f"{a},{b if n % 9 else ''},{'xyz'[n % 3]},{c}" for n, (a, b, c) in enumerate(rows)]
    path.write_text("\n".join(["a,b,kind,c", *lines]) + "\n")


def change_picture(path: Path) -> None:
    Image.new("L", (16, 16), 7).save(path / "cat/11.png")


def change_array(path: Path) -> None:
    with np.load(path) as found:
        images, labels = found["images"], found["labels"]
    images[5, 0, 0] ^= 1
    np.savez(path, images=images, labels=labels)


def change_table(path: Path) -> None:
    path.write_text(path.read_text().replace(",x,", ",y,", 1))


def touch_files(path: Path) -> None:
    for file in [path, *path.rglob("*")]:
        os.utime(file, (1, 1))


KINDS: dict[str, tuple[str, Callable[..., None], Callable[[Path], None], dict[str, Any]]] = {
    "folder": ("photos", pictures, change_picture, {"image_size": 16}),
    "array": ("a.npz", array, change_array, {"validation": 0.25, "limit": 60}),
    "table": ("t.csv", table, change_table, {"label": "kind", "missing": "mean"}),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_change_of_contents_is_said_and_another_place_or_time_is_not(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    warnings.simplefilter("ignore")  # those about what a table is taken for
    name, make, change, settings = KINDS[kind]
    path, moved, other = Path(name), Path("moved") / name, Path("other") / name
    other.parent.mkdir()
    make(path)
    make(other, seed=1)
    model = train({**TINY, "data": {"name": name, **settings}}, name="run")

    def relation(data: Path | None = None) -> str:
        opened = load("run", "cpu", data).data()
        opened.train()
        return opened.relation

    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the data of run")
        with pytest.MonkeyPatch.context() as patch:  # files that were not touched are not read
            patch.setattr("vae_cli.api.run_data.digest_splits", None)
            assert relation() == "own"
        touch_files(path)
        assert relation() == "own"
        moved.parent.mkdir()
        (shutil.copytree if path.is_dir() else shutil.copy)(path, moved)
        assert relation(moved) == "own"
        assert relation(other) == "other"
    change(path)
    with pytest.warns(UserWarning, match=r"the data of run run \(.*\) have changed since its"):
        assert relation() == "changed"
    with pytest.raises(UsageError, match="run was trained on: they have changed"):
        with_sampler(model, "gmm")
    assert not list(Path("runs/run").glob("sampler*"))


def test_the_items_are_those_that_the_run_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    array(Path("a.npz"))
    array(Path("b.npz"), seed=1)
    model = train({**TINY, "data": {"name": "a.npz", "limit": 5}}, name="run")
    assert len(model.held_out()) == 5
    embedding = embed(model, model.data())
    assert embedding.parts == ["train"] * 5 + ["test"] * 5
    assert evaluate_model(model, samples=2).items == 5
    other = load("run", "cpu", "b.npz")
    assert len(embed(other, other.data())) == 90, "the limit is of the data of the run"
    with pytest.raises(UsageError, match="run was trained on: these are others"):
        with_sampler(other, "gmm")
    with pytest.raises(UsageError, match="sampler=gnm: must be auto, prior, gmm, flow or codes"):
        with_sampler(model, "gnm")
    with pytest.raises(UsageError, match="features=Inception: must be classifier or inception"):
        evaluate_model(model, samples=2, features="Inception")
