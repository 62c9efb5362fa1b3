"""Checkpoint files: complete, checked, and without pickle."""

import json
import random
from pathlib import Path

import pytest
import torch

from vae_cli.errors import VAEError
from vae_cli.runs import checkpoint as checkpoint_module
from vae_cli.runs.checkpoint import (
    SCHEMA,
    Checkpoint,
    load_checkpoint,
    matches,
    save_checkpoint,
)

TENSORS = {
    "state.model.weight": torch.arange(6.0).view(2, 3),
    "state.players.model.weight.t": torch.tensor(7.0),
    "kl_by_dim": torch.tensor([1.5, 0.0]),
}
FACTS = {"epoch": 3, "config": {"model": {"hidden": [4]}}, "best_loss": 0.1}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a good checkpoint."""
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, Checkpoint(TENSORS, FACTS))
    return path


def test_tensors_and_facts_are_loaded_as_they_were_saved(path: Path) -> None:
    loaded = load_checkpoint(path)
    assert loaded.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert loaded.tensors[name].equal(tensor), name
    assert loaded.facts == FACTS


def test_a_group_has_the_tensors_below_a_prefix(path: Path) -> None:
    group = load_checkpoint(path).group("state.model")
    assert group.keys() == {"weight"}
    assert group["weight"].equal(TENSORS["state.model.weight"])


def test_tensors_that_are_not_contiguous_are_saved_by_value(tmp_path: Path) -> None:
    path, transposed = tmp_path / "a.safetensors", TENSORS["state.model.weight"].T
    save_checkpoint(path, Checkpoint({"a": transposed}, {}))
    assert load_checkpoint(path).tensors["a"].equal(transposed)


def test_facts_may_contain_what_stands_for_the_digest_while_it_is_computed(tmp_path: Path) -> None:
    facts = {"columns": ["0" * 64, '"sha256":"' + "0" * 64]}
    for number in range(20):  # the order of the header is random
        path = tmp_path / f"{number}.safetensors"
        save_checkpoint(path, Checkpoint(TENSORS, facts))
        assert load_checkpoint(path).facts == facts


def test_a_single_flipped_bit_is_detected(path: Path, tmp_path: Path) -> None:
    content, draw = path.read_bytes(), random.Random(0)
    flipped = tmp_path / "flipped.safetensors"
    for _ in range(200):
        changed = bytearray(content)
        changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        flipped.write_bytes(changed)
        with pytest.raises(VAEError, match=r"flipped\.safetensors"):
            load_checkpoint(flipped)


def test_a_missing_file_has_no_weights_yet(tmp_path: Path) -> None:
    with pytest.raises(VAEError, match=r"none\.safetensors does not exist: .* no weights yet"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_later_schema_asks_for_a_newer_vae(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new.safetensors"
    monkeypatch.setattr(checkpoint_module, "SCHEMA", SCHEMA + 1)
    save_checkpoint(path, Checkpoint(TENSORS, FACTS))
    monkeypatch.undo()
    with pytest.raises(VAEError, match=rf"newer vae \(schema {SCHEMA + 1}\): upgrade vae"):
        load_checkpoint(path)


def test_a_file_that_is_too_large_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(VAEError, match="is larger than"):
        load_checkpoint(path)


def test_the_header_is_json_that_names_the_schema(path: Path) -> None:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    assert json.loads(metadata["vae"]) == {"schema": SCHEMA, **FACTS}


def test_weights_match_a_module_only_with_its_names_shapes_and_types() -> None:
    layer = torch.nn.Linear(3, 2).state_dict()
    weights = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    assert matches(weights, layer)
    assert not matches({"weight": weights["weight"]}, layer)
    assert not matches(weights | {"more": torch.zeros(1)}, layer)
    assert not matches(weights | {"bias": torch.zeros(3)}, layer)
    assert not matches(weights | {"bias": torch.zeros(2, dtype=torch.float64)}, layer)
