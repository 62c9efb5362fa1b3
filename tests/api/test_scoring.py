"""Scores by several processes."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from worlds import run_together

from vae_cli.api import model as models
from vae_cli.api import scoring
from vae_cli.api.model import TrainedModel
from vae_cli.api.scoring import Scores, score_items
from vae_cli.data.shared_memory import HAS_MEMORY_FILES

PLACE = {
    **{"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3"},
    **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"},
}


def score_together(model: TrainedModel, size: int) -> list[Scores]:
    return run_together(size, lambda world: score_items(model, samples=2, world=world))


def test_several_processes_score_as_one_and_the_first_has_all_rows(wine: TrainedModel) -> None:
    (expected,) = score_together(wine, 1)
    first, *others = score_together(wine, 3)
    assert list(first.rows()) == list(expected.rows())
    assert len(first) == len(wine.held_out())
    for name, column in expected.columns().items():
        assert torch.equal(first.columns()[name], column), name
    for other in others:
        assert len(other) == 0
        assert list(other.rows()) == []
        assert not other.parts
        assert not any(map(len, other.columns().values())), "only one of them needs the memory"


@pytest.mark.skipif(not HAS_MEMORY_FILES, reason="only Linux has files in memory")
def test_one_process_of_a_machine_reads_the_data_and_those_that_are_scored(
    wine: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wine.data_name is not None
    path = shutil.copy(wine.data_name, tmp_path / "others.csv")
    opened: list[str] = []

    def counted(open_data: Any) -> Any:
        def count(spec: Any, name: str, *words: Any, **more: Any) -> Any:
            opened.append(name)
            return open_data(spec, name, *words, **more)

        return count

    for module in (models, scoring):
        monkeypatch.setattr(module, "open_dataset_for", counted(module.open_dataset_for))
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "cache"))
    for name, value in PLACE.items():
        monkeypatch.setenv(name, value)
    first, *_ = run_together(3, lambda world: score_items(wine, str(path), samples=2, world=world))
    assert opened == [wine.data_name, str(path)]
    assert len(first) == sum(map(len, wine.data().splits().values()))
