"""Checkpoints of earlier versions: the names that they had, and what is made of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import spec_of, take_step
from PIL import Image
from support import Use
from torch import Tensor

from vae_cli import load
from vae_cli.runs.checkpoint import SCHEMA, Checkpoint, load_checkpoint, matches, save_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.upgrade import upgrade
from vae_cli.settings import choose, merge
from vae_cli.training import TrainState

SHAPES = {"images": (1, 4, 4), "table": (5,)}
LATENT_DIM = 2
STANDARD = {"name": "columns", "normalization": "standard"}  # the only one of that time


def trained_state(shape: tuple[int, ...]) -> TrainState:
    """A state after one step, with totals."""
    tables: dict[str, Any] = {"model": {"hidden": [4], "latent_dim": LATENT_DIM}}
    if len(shape) == 1:
        tables["likelihood"] = STANDARD
    config = merge(("", tables))
    state = choose(config, spec_of(shape)).build_state(spec_of(shape), torch.device("cpu"))
    x = torch.rand(6, *shape)
    take_step(state, x)
    return state


def as_schema_2(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state as they were named when one Gaussian was all that there was."""
    old = {}
    for name, tensor in tensors.items():
        if name.startswith("totals.") or name == "model.prior.mean":
            continue
        before = name.replace(".likelihood.", ".decoder.").replace(".codec.standard.", ".columns.")
        before = before.replace("players.model.", "optimizer.")
        old[f"state.{before}"] = tensor
    distortion = tensors.get("totals.mse", tensors.get("totals.nll"))
    assert distortion is not None
    by_dim = tensors["totals.kl"] * torch.tensor([0.25, 0.75])
    old["state.totals"] = torch.stack([tensors["totals.loss"], distortion, *by_dim])
    return old


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_state_of_schema_2_becomes_the_same_state(shape: tuple[int, ...]) -> None:
    tensors = trained_state(shape).tensors()
    upgraded = upgrade(as_schema_2(tensors), {"schema": 2})
    assert upgraded.keys() == {f"state.{name}" for name in tensors}
    for name, tensor in tensors.items():
        torch.testing.assert_close(upgraded[f"state.{name}"], tensor)


def test_a_table_of_schema_1_fits_the_model_of_today() -> None:
    model = trained_state(SHAPES["table"]).model
    old = {
        "encoder.columns.mean": torch.zeros(5),
        "encoder.columns.scale": torch.ones(5),
        "decoder.columns.mean": torch.arange(5.0),
        "decoder.columns.scale": torch.full((5,), 2.0),
        "decoder.log_variance": torch.zeros(5),
    }
    for name, tensor in model.state_dict().items():
        if name.startswith("encoder."):
            old[name.replace("encoder.", "encoder.mlp.", 1)] = tensor
        elif name.startswith("decoder."):
            old[name] = tensor
    tensors = {f"state.model.{name}": tensor for name, tensor in old.items()}
    upgraded = upgrade(tensors, {"schema": 1})
    weights = {name.removeprefix("state.model."): tensor for name, tensor in upgraded.items()}
    assert matches(weights, model.state_dict())
    model.load_state_dict(weights)
    assert model.codec.decode(torch.zeros(1, 5)).tolist() == [[0, 1, 2, 3, 4]]


def test_a_state_of_today_is_left_as_it_is() -> None:
    tensors = {f"state.{name}": t for name, t in trained_state(SHAPES["images"]).tensors().items()}
    assert upgrade(tensors, {"schema": SCHEMA}) == tensors


def test_the_best_weights_of_schema_4_are_read_without_the_state_that_was_with_them(
    use: Use, tmp_path: Path
) -> None:
    words = ("--limit", 64, "--epochs", 1, "--model", "mlp", "--hidden", 8, "-q", "--name", "new")
    use("train", "--data", "shapes", *words)
    run = Run(Path("runs/new"))
    best, last = load_checkpoint(run.best), load_checkpoint(run.last)
    save_checkpoint(run.best, Checkpoint(last.tensors | best.tensors, best.facts | {"schema": 4}))
    loaded = load_checkpoint(run.best)
    assert loaded.tensors.keys() == best.tensors.keys()
    assert loaded.weights_digest == best.weights_digest
    use("sample", "--run", "new", "-n", 2)


def test_a_run_that_schema_4_stopped_within_an_epoch_starts_that_epoch_again(use: Use) -> None:
    words = ("--limit", 64, "--batch-size", 16, "--epochs", 2, "-q")
    use("train", "--data", "shapes", *words, "--model", "mlp", "--name", "old")
    run = Run(Path("runs/old"))
    saved = load_checkpoint(run.last)
    facts = saved.facts | saved.facts["progress"]
    facts["position"] = {"step": 10, "epoch": 2, "done": 2, "count": 32}
    totals = {name: t + 1 for name, t in saved.tensors.items() if "totals" in name}
    save_checkpoint(run.last, Checkpoint(saved.tensors | totals, facts | {"schema": 4}))
    with pytest.warns(UserWarning, match="it starts that epoch again"):
        again = load_checkpoint(run.last)
    progress = again.facts["progress"]
    assert [progress[name] for name in ("step", "done", "count")] == [8, 0, 0]
    assert not any(t.any() for name, t in again.tensors.items() if "totals" in name)
    use("train", "--resume", "old", "--epochs", 3, "-q")
    assert len(load_checkpoint(run.last).facts["progress"]["rows"]) == 3


def make_pictures(folder: Path) -> None:
    """Forty different pictures, and a copy of each of them."""
    folder.mkdir()
    for number in range(80):
        pixels = np.random.default_rng(number % 40).integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


SCHEMA_3 = {  # what a checkpoint of that schema has in some of its tables
    "facts": {
        *("config", "counts", "epoch", "position", "rows", "best_loss", "best_epoch"),
        *("data", "data_digest", "origin"),
    },
    "config": {
        *("name", "limit", "image_size", "channels", "test_fraction"),
        *("label", "drop", "missing", "validation"),
    },
    "spec": {"name", "shape", "classes", "background", "cropped", "columns", "table"},
}


def as_schema_3(run: Run) -> None:
    """Take out of the files of a run what its version did not know."""

    def known(table: dict[str, Any], name: str) -> dict[str, Any]:
        assert table.keys() >= SCHEMA_3[name]
        return {key: table[key] for key in SCHEMA_3[name]}

    progress = load_checkpoint(run.last).facts["progress"]
    for path in (run.best, run.last):
        saved = load_checkpoint(path)
        position = {name: progress[name] for name in ("step", "done", "count")}
        position["epoch"] = saved.facts["epoch"]
        facts = known(saved.facts | progress | {"position": position}, "facts")
        facts["config"]["data"] = known(facts["config"]["data"], "config")
        facts["data"] = known(facts["data"], "spec")
        facts["data"]["columns"] = [column["name"] for column in facts["data"]["columns"]]
        save_checkpoint(path, Checkpoint(saved.tensors, facts | {"schema": 3}))


def test_a_run_of_schema_3_keeps_its_test_pictures_and_is_resumed(use: Use) -> None:
    make_pictures(Path("photos"))
    words = ("train", "--data", "photos", "--model", "mlp", "--hidden", 8, "--latent-dim", 2, "-q")
    use(*words, "--set", "data.rules=1", "--epochs", 1, "--name", "old")
    before = load("old").held_out()
    as_schema_3(Run(Path("runs/old")))
    assert load("old").held_out().rows.equal(before.rows)
    use("train", "--resume", "old", "--epochs", 2, "-q")
    assert load("old").settings.data.rules == 1
    use(*words, "--epochs", 1, "--name", "new")
    assert not load("new").held_out().rows.equal(before.rows)


def test_runs_of_schema_3_on_arrays_and_tables_are_resumed(use: Use) -> None:
    random = np.random.default_rng(0)
    np.save("images.npy", random.integers(0, 256, (60, 16, 16), np.uint8))
    np.savetxt("table.csv", random.normal(size=(60, 3)), delimiter=",")
    for data in ("images.npy", "table.csv"):
        words = ("train", "--data", data, "--model", "mlp", "--hidden", 8, "--epochs", 1, "-q")
        standard = [f"--set=likelihood.{key}={value}" for key, value in STANDARD.items()]
        of_table = ["--missing", "error", *standard] if data == "table.csv" else []
        use(*words, "--set", "data.rules=1", "--name", data, *of_table)
        as_schema_3(Run(Path("runs", data)))
        use("train", "--resume", data, "--epochs", 2, "-q")
