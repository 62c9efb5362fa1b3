"""The nearest neighbours are those of a full sort."""

import pytest
import torch

from vae_cli.evaluation.features import BLOCK, find_nearest


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("points", [5, BLOCK, BLOCK + 1, 7 * BLOCK + 3])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_the_places_are_those_of_a_full_sort(points: int, count: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(points)
    these = torch.randn(points, 3, generator=generator) + shift
    queries = torch.randn(50, 3, generator=generator) + shift
    distances = torch.cdist(queries.double(), these.double())
    expected = distances.argsort(1)[:, :count]
    torch.testing.assert_close(
        distances.gather(1, find_nearest(queries, these, count)),
        distances.gather(1, expected),
        rtol=1e-3,
        atol=1e-5,
    )


def test_a_point_is_its_own_nearest_neighbour() -> None:
    points = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(find_nearest(points, points, 1)[:, 0], torch.arange(300))
