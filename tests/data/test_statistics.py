"""Mean and standard deviation of the columns of a table."""

import pytest
import torch

from vae_cli.data import statistics
from vae_cli.data.dataset import Split
from vae_cli.data.statistics import column_statistics


@pytest.mark.parametrize("chunk", [1, 11, 65_536])
def test_the_statistics_are_those_of_the_training_rows_only(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(statistics, "CHUNK_ROWS", chunk)
    n = torch.arange(50, dtype=torch.float64)
    items = torch.stack([n, n * n, torch.full_like(n, 7)], 1)
    split = Split(items, torch.arange(0, 50, 3), torch.empty(0))
    mean, std = column_statistics(split)
    rows = items[::3]
    torch.testing.assert_close(mean, rows.mean(0).float())
    torch.testing.assert_close(std[:2], rows.std(0, correction=0)[:2].float())


def test_a_constant_column_has_a_standard_deviation_of_1() -> None:
    assert column_statistics(Split.whole(torch.full((5, 2), 0.1))).std.tolist() == [1, 1]


def test_a_small_deviation_from_a_large_mean_is_exact() -> None:
    rows = torch.tensor([[1e9], [1e9 + 2]], dtype=torch.float64)
    mean, std = column_statistics(Split.whole(rows))
    assert mean.tolist() == [1e9]
    assert std.tolist() == [1]
