"""Classifiers of the means."""

import torch

from vae_cli.evaluation.features import (
    classify_by_neighbours,
    classify_linearly,
    feature_figures,
)
from vae_cli.evaluation.figures import Absent, Figure


def blobs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=generator)
    centres = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    return centres[labels] + torch.randn(count, 2, generator=generator), labels


def test_separate_classes_are_told_apart_by_both() -> None:
    figures = feature_figures(*blobs(200, 0), *blobs(100, 1))
    for figure in figures.values():
        assert isinstance(figure, Figure)
        assert figure.value == 1


def test_a_ring_around_a_blob_is_a_task_for_neighbours_only() -> None:
    angle = torch.rand(400, generator=torch.Generator().manual_seed(0)) * 6.2832
    labels = torch.arange(400) % 2
    points = torch.stack([angle.cos(), angle.sin()], 1) * (0.1 + labels[:, None])
    train, test = slice(0, 300), slice(300, 400)
    near = classify_by_neighbours(points[train], labels[train], points[test])
    linear = classify_linearly(points[train], labels[train], points[test])
    assert torch.equal(near, labels[test])
    assert 0.2 < (linear == labels[test]).float().mean() < 0.8


def test_the_nearest_neighbour_decides_a_tie() -> None:
    train = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    labels = torch.tensor([1, 0, 0, 1])
    assert classify_by_neighbours(train, labels, torch.zeros(1, 1)).tolist() == [1]


def test_items_without_labels_have_no_accuracy() -> None:
    none = torch.empty(0, dtype=torch.int64)
    figures = feature_figures(torch.zeros(4, 2), none, torch.zeros(4, 2), none)
    assert all(isinstance(one, Absent) for one in figures.values())
