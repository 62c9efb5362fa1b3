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


def test_as_many_classes_as_items_take_no_time_and_no_memory() -> None:
    """Every label of 18,000 has two items that are equal: one to train on, and one to test on."""
    count = 18_000
    means = torch.rand(count, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    few = slice(0, 500)
    figures = feature_figures(means, labels, means[few], labels[few])
    neighbours, probe = figures["knn_accuracy"], figures["probe_accuracy"]
    assert isinstance(neighbours, Figure)
    assert neighbours.value == 1, "the nearest decides, because no label is frequent"
    assert isinstance(probe, Absent)
    assert probe.reason == "18,000 classes are too many for a linear probe"


def test_the_most_frequent_label_is_that_of_a_count_over_all_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    train, test = (torch.rand(count, 3, generator=generator) for count in (300, 200))
    labels = torch.randint(4, (300,), generator=generator)
    nearest = labels[torch.cdist(test, train).topk(5, largest=False).indices]
    votes = torch.nn.functional.one_hot(nearest, 4).sum(1).double()
    votes += 1e-3 * torch.nn.functional.one_hot(nearest[:, 0], 4)  # the nearest decides most ties
    expected, clear = votes.argmax(1), votes.sort(1).values.diff()[:, -1] > 0.5
    assert clear.sum() > 100
    assert torch.equal(classify_by_neighbours(train, labels, test)[clear], expected[clear])
