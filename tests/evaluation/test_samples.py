"""The distances between sets of features that are known."""

import pytest
import torch

from vae_cli.evaluation.samples import frechet_distance, precision_and_recall


def normal(count: int, mean: list[float], scale: list[float], seed: int) -> torch.Tensor:
    noise = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed))
    return torch.tensor(mean) + torch.tensor(scale) * noise


def exactly_normal(mean: list[float], covariance: list[list[float]]) -> torch.Tensor:
    """Points with exactly this mean and covariance."""
    noise = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    centred = noise - noise.mean(0)
    white = centred @ torch.linalg.inv(torch.linalg.cholesky(centred.T @ centred / 49)).T
    root = torch.linalg.cholesky(torch.tensor(covariance, dtype=torch.float64))
    return white @ root.T + torch.tensor(mean, dtype=torch.float64)


def test_the_distance_of_two_normals_is_known() -> None:
    # diagonal covariances: (1 - 2)² + (0 - 4)² for the means, (σ_1 - σ_2)² = 1 + 4 for the scales
    first = exactly_normal([1.0, 0.0], [[4.0, 0.0], [0.0, 1.0]])
    second = exactly_normal([2.0, 4.0], [[9.0, 0.0], [0.0, 9.0]])
    assert frechet_distance(first, second)[0] == pytest.approx(1 + 16 + 1 + 4)


def test_covariances_that_do_not_commute_agree_with_the_square_root_of_the_product() -> None:
    first, second = [[2.0, 1.0], [1.0, 1.0]], [[1.0, -0.5], [-0.5, 3.0]]
    product = torch.tensor(first).double() @ torch.tensor(second).double()
    root_trace = torch.linalg.eigvals(product).real.sqrt().sum().item()
    sets = (exactly_normal([0.0, 0.0], one) for one in (first, second))
    found, _ = frechet_distance(*sets)
    assert found == pytest.approx(2 + 1 + 1 + 3 - 2 * root_trace)


def test_equal_sets_have_no_distance_and_dead_features_do_no_harm() -> None:
    points = normal(200, [0.0, 1.0, 5.0], [1.0, 2.0, 0.0], 0)
    assert frechet_distance(points, points)[0] == pytest.approx(0, abs=1e-9)
    distance = frechet_distance(points, normal(200, [3.0, 1.0, 5.0], [1.0, 2.0, 0.0], 1))[0]
    assert distance == pytest.approx(9, rel=0.2)


def test_the_error_of_the_distance_is_its_spread_over_sets() -> None:
    found = [
        frechet_distance(
            normal(300, [0.0, 0.0, 1.0], [1.0, 3.0, 0.0], 2 * seed),
            normal(200, [2.0, 0.0, 1.0], [2.0, 1.0, 0.0], 2 * seed + 1),
        )
        for seed in range(200)
    ]
    distances, errors = torch.tensor(found).T
    assert errors.mean().item() == pytest.approx(distances.std().item(), rel=0.15)
    assert errors.std() < 0.2 * errors.mean()


def test_precision_and_recall_tell_missing_from_wrong() -> None:
    both = torch.cat([normal(300, [0.0], [1.0], 0), normal(300, [100.0], [1.0], 1)])
    one = normal(300, [0.0], [1.0], 2)
    precise, recalled = precision_and_recall(both, one)  # samples of one of two modes
    assert precise.double().mean() > 0.95
    assert recalled.double().mean() == pytest.approx(0.5, abs=0.03)
    wrong = torch.cat([one, normal(300, [-100.0], [1.0], 3)])  # half of the samples are wrong
    precise, _ = precision_and_recall(both, wrong)
    assert precise.double().mean() == pytest.approx(0.5, abs=0.03)


def test_the_neighbourhood_reaches_to_the_third_neighbour() -> None:
    items = torch.tensor([[0.0], [1.0], [2.0], [3.0]])  # reach to 3, 2, 2 and 3
    precise, _ = precision_and_recall(items, torch.tensor([[-3.0], [-3.1], [6.0], [6.1]]))
    assert precise.tolist() == [True, False, True, False]
