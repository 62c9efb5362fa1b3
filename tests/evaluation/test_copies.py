"""Copies of training rows, and rows that are none."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from tables import COLUMNS, mixed_rows

from vae_cli.evaluation.copies import find_copies
from vae_cli.evaluation.figures import average


def test_copies_are_found_and_independent_rows_are_none() -> None:
    train, held_out, other = (mixed_rows(1000, seed=seed, holes=0.05) for seed in range(3))
    for rows, share in ((train, 1.0), (held_out, 0.0), (other, 0.5)):
        assert find_copies(train, held_out, rows, COLUMNS).mean().item() == pytest.approx(
            share, abs=0.06
        )
    tied = find_copies(train, train, other, COLUMNS)
    assert tied.eq(0.5).all(), "rows that are as near to the one as to the other"
    half = torch.cat([train[:500], other[:500]])
    assert find_copies(train, held_out, half, COLUMNS).mean() > 0.7


def test_the_nearest_rows_are_those_of_scikit_learn() -> None:
    sets = [mixed_rows(300, seed=seed) for seed in range(3)]
    train = sets[0].numpy()
    mean, std = train.mean(0), train.std(0)
    points = [
        np.hstack(
            [
                ((rows.numpy() - mean) / np.where(std, std, 1))[:, [0, 1, 4, 5]],
                *(np.eye(3)[rows[:, place].int().numpy()] for place in (2, 6)),
            ]
        )
        for rows in sets
    ]
    near = [
        NearestNeighbors(n_neighbors=1).fit(others).kneighbors(points[2])[0][:, 0]
        for others in points[:2]
    ]
    expected = (near[0] < near[1]) + 0.5 * (near[0] == near[1])
    assert find_copies(*sets, COLUMNS).tolist() == expected.tolist()


def test_the_error_is_the_spread_over_other_rows() -> None:
    found = []
    for seed in range(60):
        sets = (mixed_rows(200, seed=3 * seed + number) for number in range(3))
        figure = average(find_copies(*sets, COLUMNS), "copies")
        found.append((figure.value, figure.error))  # type: ignore[union-attr]
    values, errors = torch.tensor(found).T
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert 0.7 < errors.mean() / values.std() < 1.4
