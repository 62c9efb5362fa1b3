"""Mean and standard deviation of the columns of a table."""

import pytest
import torch

from vae_cli.data import statistics
from vae_cli.data.statistics import column_statistics


@pytest.mark.parametrize("chunk", [1, 11, 65_536])
def test_the_statistics_are_those_of_the_training_rows_only(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(statistics, "CHUNK_ROWS", chunk)
    n = torch.arange(50, dtype=torch.float64)
    items = torch.stack([n, n * n, torch.full_like(n, 7)], 1)
    mean, std = column_statistics(items, torch.arange(0, 50, 3))
    rows = items[::3]
    torch.testing.assert_close(mean, rows.mean(0))
    torch.testing.assert_close(std, rows.std(0, correction=0))
    assert std[2] == 0


def test_a_constant_column_has_its_value_as_mean_and_no_deviation() -> None:
    items = torch.full((5, 2), 0.1)
    mean, std = column_statistics(items, torch.arange(5))
    assert mean.tolist() == items[0].tolist()
    assert std.tolist() == [0, 0]


def test_a_small_deviation_from_a_large_mean_is_exact() -> None:
    rows = torch.tensor([[1e9], [1e9 + 2]], dtype=torch.float64)
    mean, std = column_statistics(rows, torch.arange(2))
    assert mean.tolist() == [1e9 + 1]
    assert std.tolist() == [1]
