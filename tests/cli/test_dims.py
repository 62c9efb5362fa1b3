"""A run whose KL of each dimension is not known: dimensions are in the order of their numbers."""

import json
from pathlib import Path

import pytest
from support import Refused, Use

from vae_cli import load
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture
def unknown(here: Path, home: Path) -> str:
    """A run like the one of `home`, but without the KL in its weights."""
    saved = load_checkpoint(home / "runs/small/best.safetensors")
    tensors = {name: tensor for name, tensor in saved.tensors.items() if name != "kl_by_dim"}
    save_checkpoint(here / "runs/unknown/best.safetensors", Checkpoint(tensors, saved.facts))
    return "unknown"


def test_dimensions_without_a_known_kl_are_shown_by_number(use: Use, unknown: str) -> None:
    assert load(unknown).kl_by_dim is None
    found = use("traverse", "--dim", "all", "--run", unknown, "--json")
    assert json.loads(found.out)["rows"] == [{"dim": dim, "kl": None} for dim in range(20)]
    assert "carries" not in found.err
    use("traverse", "--dim", "all", "--run", unknown)
    assert json.loads(use("manifold", "-n", 2, "--run", unknown, "--json").out)["dims"] == [0, 1]
    swapped = json.loads(use("swap", "--run", unknown, "--json").out)
    assert [(row["dim"], row["kl"]) for row in swapped["exchanged"]] == [(0, None)]
    use("explore", "--run", unknown, "--export", "page.html")


def test_active_dimensions_need_a_known_kl(unknown: str, refused: Refused) -> None:
    message = refused("traverse", "--dim", "active", "--run", unknown)
    assert message == "--dim active: the KL of each dimension is not known: use --dim all"
