"""Scores by several processes."""

import torch
from worlds import run_together

from vae_cli.api.model import TrainedModel
from vae_cli.api.scoring import Scores, score_items


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
