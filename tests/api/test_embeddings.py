"""Embeddings: the posterior of every item of a data set, and the files that hold it."""

import csv
import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from worlds import run_together

from vae_cli.api import embeddings
from vae_cli.api.embeddings import SUFFIXES, Embedding, embed, write_embedding
from vae_cli.api.model import TrainedModel
from vae_cli.data.batches import CHUNK_ITEMS
from vae_cli.data.catalogue import open_dataset_for
from vae_cli.data.dataset import ignore_progress
from vae_cli.errors import UsageError
from vae_cli.training import World

Arrays = dict[str, np.ndarray[Any, Any]]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
NAMES = ["plain.png", 'comma, "quoted".png', "line\nend.png", "cr\rhere.png", " lead", "é/ü ✓.png"]
CLASSES = ("a, b", 'c"d')


def read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture
def difficult() -> Embedding:
    """An embedding whose texts have quotes, commas and line ends, and whose numbers are small."""
    generator = np.random.default_rng(0)
    mean, log_variance = generator.normal(size=(2, 6, 3)).astype(np.float32) * 1e-3
    labels = np.array([0, 1, 0, 1, 1, 0])
    return Embedding(
        names=NAMES,
        features={"mean": mean, "log_variance": log_variance},
        labels=labels,
        classes=CLASSES,
        parts=["train"] * 4 + ["test"] * 2,
    )


def test_several_processes_embed_as_one_and_the_first_has_all_rows(
    wine: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "chunk_length", lambda _shape: 40)
    reports: list[tuple[int, int]] = []

    def work(world: World) -> Embedding:
        return embed(wine, wine.data(), lambda *counts: reports.append(counts), world)

    expected = embed(wine, wine.data())
    first, *others = run_together(3, work)
    assert dataclasses.replace(first, features={}, labels=None) == dataclasses.replace(
        expected, features={}, labels=None
    )
    for name, values in expected.features.items():
        assert np.array_equal(first.features[name], values)
    assert {total for _, total in reports} == {len(expected)}
    assert max(done for done, _ in reports) == len(expected), "it is of all processes together"
    for other in others:
        assert len(other) == len(other.mean) == 0


def test_every_item_of_both_parts_is_encoded_and_progress_is_reported(
    model: TrainedModel,
) -> None:
    reports: list[tuple[int, int]] = []
    dataset = model.data()
    named = open_dataset_for(model.spec, "fashion-mnist", ignore_progress)
    found = embed(model, named, lambda done, total: reports.append((done, total)))

    assert len(found) == 70_000
    assert found.mean.shape == found.log_variance.shape == (70_000, 20)
    assert found.mean.dtype == found.log_variance.dtype == np.float32
    assert found.parts == ["train"] * 60_000 + ["test"] * 10_000
    assert [found.names[row] for row in (0, 59_999, 60_000, -1)] == ["0", "59999", "0", "9999"]
    assert found.classes == dataset.spec.classes
    for start, part in ((0, dataset.train()), (60_000, dataset.test())):
        rows = np.array([0, 1023, 1024, 1025, len(part) - 1])
        posterior = model.encode(part.items_at(rows))
        np.testing.assert_allclose(found.mean[start + rows], posterior.mean, **CLOSE)
        np.testing.assert_allclose(
            found.log_variance[start + rows], posterior.log_variance, **CLOSE
        )
        assert found.labels is not None
        assert (found.labels[start : start + len(part)] == part.labels.numpy()).all()
        names = [dataset.spec.classes[label] for label in part.labels[rows]]
        assert found.text_columns()["label"][start + rows].tolist() == names

    counts = [done for done, _ in reports]
    assert reports[-1] == (70_000, 70_000)
    assert counts == sorted(set(counts))
    assert max(np.diff([0, *counts])) <= CHUNK_ITEMS


def test_data_in_one_part_without_classes_have_neither_parts_nor_labels(
    model: TrainedModel, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 28, 28), np.uint8))
    dataset = open_dataset_for(model.spec, str(tmp_path / "x.npy"), ignore_progress)
    found = embed(model, dataset)
    assert (found.names, found.parts, found.labels) == (["0", "1", "2"], None, None)
    assert list(found.text_columns()) == ["name"]


def test_the_three_formats_have_the_same_content(
    difficult: Embedding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "CHUNK_ITEMS", 4)
    for suffix in SUFFIXES:
        write_embedding(difficult, tmp_path / f"z{suffix}")
    arrays = read(tmp_path / "z.npz")
    with (tmp_path / "z.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    columns = parquet.read_table(tmp_path / "z.parquet").to_pydict()
    numbers = [f"{name}_{dim}" for name in ("mean", "log_variance") for dim in range(3)]
    assert list(arrays) == ["name", "part", "label", "mean", "log_variance"]
    assert head == list(columns) == ["name", "part", "label", *numbers]
    assert [row[0] for row in rows] == columns["name"] == arrays["name"].tolist() == NAMES
    assert [row[1] for row in rows] == columns["part"] == arrays["part"].tolist() == difficult.parts
    labels = ["a, b", 'c"d', "a, b", 'c"d', 'c"d', "a, b"]
    assert [row[2] for row in rows] == columns["label"] == arrays["label"].tolist() == labels
    values = np.array([row[3:] for row in rows], np.float32)
    assert (values == np.concatenate([arrays["mean"], arrays["log_variance"]], 1)).all()
    assert (values == np.array([columns[name] for name in numbers], np.float32).T).all()
    assert (arrays["mean"] == difficult.mean).all(), "bit for bit, in CSV too"


def test_a_column_that_is_not_known_is_not_written(tmp_path: Path) -> None:
    one = np.ones((1, 1), np.float32)
    made = Embedding(names=["a"], features={"mean": 0 * one, "log_variance": one})
    for suffix in SUFFIXES:
        write_embedding(made, tmp_path / f"z{suffix}")
    assert (tmp_path / "z.csv").read_text() == "name,mean_0,log_variance_0\na,0,1\n"
    assert list(read(tmp_path / "z.npz")) == ["name", "mean", "log_variance"]
    assert parquet.read_table(tmp_path / "z.parquet").column_names == [
        *("name", "mean_0", "log_variance_0")
    ]
    known = dataclasses.replace(made, ids={"mean": ["=C1"]})
    write_embedding(known, tmp_path / "z.csv")
    assert (tmp_path / "z.csv").read_text() == ("name,vae mean,mean_0,log_variance_0\na,'=C1,0,1\n")


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_a_name_that_is_not_utf_8_is_written_in_every_format(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("L", (28, 28), 99).save(folder / "a.png")
    os.rename(folder / "a.png", os.fsencode(folder) + b"/\xff\xfea.png")  # noqa: PTH104
    made = embed(model, open_dataset_for(model.spec, str(folder), ignore_progress))
    for suffix in SUFFIXES:
        write_embedding(made, tmp_path / f"z{suffix}")
    (name,) = read(tmp_path / "z.npz")["name"]
    assert name.endswith("a.png")
    assert name in (tmp_path / "z.csv").read_text()
    assert parquet.read_table(tmp_path / "z.parquet").to_pydict()["name"] == [name]


def test_a_file_with_an_unknown_extension_is_refused_and_not_written(
    difficult: Embedding, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"end the name with \.npz, \.csv or \.parquet"):
        write_embedding(difficult, tmp_path / "z.pickle")
    assert not list(tmp_path.iterdir())


def test_extensions_in_upper_case_are_accepted(difficult: Embedding, tmp_path: Path) -> None:
    write_embedding(difficult, tmp_path / "z.NPZ")
    assert read(tmp_path / "z.NPZ")["name"].tolist() == NAMES
