"""Mean and standard deviation of the columns of a table."""

import pytest
import torch

from vae_cli.data import statistics
from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import column_statistics, require_learnable
from vae_cli.errors import UsageError

SPEC = Spec("t", (2,), columns=("a", "b"))


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


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            [1e154, -1e160, 0],
            "not a finite number, because its values reach 1e\\+160: correct the value",
        ),
        ([1.7e308, 1.7e308, 1.6e308], "not a finite number, because its values reach 1.7e\\+308"),
        ([1e308, -1e308, 0], "not a finite number"),
        ([0, 1e-170, 0], "differ by less than float64 can square: correct the value"),
        ([1e-170, 2e-170, 3e-170], "differ by less than float64 can square"),
        ([1e150, -1e150, 0], None),
        ([1e-150, 2e-150, 3e-150], None),
        ([1e308] * 3, None),
    ],
)
def test_a_column_needs_a_deviation_that_float64_can_hold(
    values: list[float], reason: str | None
) -> None:
    items = torch.tensor([[1.0, value] for value in values], dtype=torch.float64)
    rows = torch.arange(3)
    found = column_statistics(items, rows)
    if reason is None:
        require_learnable(found, InMemory.whole(items), SPEC)
        assert found.std.isfinite().all()
        return
    with pytest.raises(UsageError, match=f"column b of t: its .*{reason}"):
        require_learnable(found, InMemory.whole(items), SPEC)
