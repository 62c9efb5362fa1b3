"""The facts of a checkpoint: forged ones are refused in one line, before anything is changed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support import Refused, Use

from vae_cli.data.dataset import Spec
from vae_cli.errors import UsageError, VAEError
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.runs.facts import parse_facts, require_storable
from vae_cli.settings import Config

FORGED: dict[str, dict[str, Any]] = {
    "a row without numbers": {"progress": {"rows": [{}]}},
    "a row of texts": {"progress": {"rows": [{"epoch": "one"}]}},
    "a position that is not whole": {"progress": {"step": 1.5, "done": 0, "count": 0}},
    "a negative position": {"progress": {"step": -1, "done": 0, "count": 0}},
    "a position that no training reaches": {"progress": {"step": 7, "done": 1, "count": 128}},
    "a progress that is a text": {"progress": "half"},
    "no progress": {"progress": None},
    "an epoch far below zero": {"epoch": -1e23},
    "an epoch that is true": {"epoch": True},
    "counts of texts": {"counts": ["1", "2"]},
    "three counts": {"counts": [1, 2, 3]},
    "a loss that is a text": {"progress": {"best_loss": "low"}},
    "an image without sides": {"data": {"name": "x", "shape": []}},
    "an image with a side of zero": {"data": {"name": "x", "shape": [1, 0, 28]}},
    "a huge row": {"data": {"name": "x", "shape": [100_001]}},
    "columns that are too few": {"data": {"name": "x", "shape": [2], "columns": ["a"]}},
    "columns of one name": {"data": {"name": "x", "shape": [2], "columns": ["a", "a"]}},
    "columns of an image": {"data": {"name": "x", "shape": [1, 28, 28], "columns": ["a"]}},
    "means that are too few": {
        "data": {
            "name": "x",
            "shape": [2],
            "columns": ["a", "b"],
            "table": {"missing": "mean", "means": [1.0]},
        }
    },
    "a way to treat gaps that does not exist": {
        "data": {"name": "x", "shape": [1], "columns": ["a"], "table": {"missing": "guess"}}
    },
    "an order of columns that are not there": {
        "data": {"name": "x", "shape": [1, 28, 28], "order": [0]}
    },
    "classes that are numbers": {"data": {"name": "x", "shape": [1, 28, 28], "classes": [1]}},
}


@pytest.fixture
def stopped(here: Path, use: Use) -> Path:
    """The last checkpoint of a run that could be resumed with more epochs."""
    use("train", "--limit", 300, "--epochs", 1, "--hidden", 8, "--name", "stopped", "-q")
    return here / "runs/stopped/last.safetensors"


def forge(path: Path, **changes: Any) -> None:
    checkpoint = load_checkpoint(path)
    if isinstance(progress := changes.get("progress"), dict):
        changes = changes | {"progress": checkpoint.facts["progress"] | progress}
    save_checkpoint(path, Checkpoint(checkpoint.tensors, checkpoint.facts | changes))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_forged_facts_are_refused_before_anything_is_changed(
    stopped: Path, refused: Refused
) -> None:
    good = stopped.read_bytes()
    for name, changes in FORGED.items():
        stopped.write_bytes(good)
        forge(stopped, **changes)
        before = snapshot(stopped.parent)
        message = refused("train", "--resume", "stopped", "--epochs", 2, code=1)
        assert "last.safetensors" in message, name
        assert snapshot(stopped.parent) == before, name


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("state.totals.loss", torch.zeros(5)),
        ("state.model.decoder.project.bias", torch.full((784,), torch.inf)),
        ("state.players.model.decoder.project.bias.m", torch.full((784,), torch.nan)),
        ("state.players.model.decoder.project.bias.m", torch.zeros(3)),
        ("state.generator", torch.zeros(3, dtype=torch.uint8)),
    ],
)
def test_a_forged_state_is_refused_before_anything_is_changed(
    stopped: Path, refused: Refused, name: str, tensor: torch.Tensor
) -> None:
    checkpoint = load_checkpoint(stopped)
    save_checkpoint(stopped, Checkpoint(checkpoint.tensors | {name: tensor}, checkpoint.facts))
    before = snapshot(stopped.parent)
    assert "last.safetensors" in refused("train", "--resume", "--epochs", 2, code=1)
    assert snapshot(stopped.parent) == before


def test_a_run_whose_metrics_have_other_columns_is_resumed(stopped: Path, use: Use) -> None:
    rows = load_checkpoint(stopped).facts["progress"]["rows"]
    fewer = [{name: value for name, value in rows[0].items() if name != "seconds"}]
    forge(stopped, progress={"rows": fewer})
    use("train", "--resume", "--epochs", 2)
    lines = (stopped.parent / "metrics.csv").read_text().splitlines()
    assert lines[0].endswith("active_dims,seconds")
    assert lines[1].endswith(",")
    assert not lines[2].endswith(",")


def test_facts_that_are_not_a_table_are_refused() -> None:
    for values in ({}, {"config": []}, json.loads('{"config": null}')):
        with pytest.raises(VAEError, match="x is damaged"):
            parse_facts(values, "x")


def test_what_a_checkpoint_could_not_store_is_refused_before_the_training() -> None:
    with pytest.raises(UsageError, match=r"the name caf\\udce9 is not UTF-8: rename it"):
        require_storable(Config(), Spec("x", (1, 8, 8), classes=("caf\udce9",)))
    with pytest.raises(UsageError, match="100001: at most 100,000"):
        require_storable(Config(), Spec("x", (100_001,)))
    long = tuple(f"{number:05}" + "é" * 100 for number in range(60_000))
    with pytest.raises(UsageError, match=r"the names of .* take over 32 MiB"):
        require_storable(Config(), Spec("x", (2,), classes=long))
    require_storable(Config(), Spec("café", (100_000,)))
