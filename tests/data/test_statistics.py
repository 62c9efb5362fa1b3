"""Mean and standard deviation of the columns of a table."""

import numpy as np
import pytest
import torch

from vae_cli.data import statistics
from vae_cli.data.columns import number_columns
from vae_cli.data.dataset import Spec
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.data.picture import Fitting
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import (
    column_statistics,
    expected_border,
    require_learnable,
    usual_border,
)
from vae_cli.errors import UsageError

SPEC = Spec("t", (2,), columns=number_columns("a", "b"))


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


# ---------------------------------------------------------------------- borders


def framed(borders: list[int]) -> InMemory:
    """Images of noise with an even border each."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (len(borders), 3, 9, 9), dtype=np.uint8)
    images[:, :, [0, -1], :] = np.array(borders)[:, None, None, None]
    images[:, :, :, [0, -1]] = np.array(borders)[:, None, None, None]
    return InMemory.whole(torch.from_numpy(images))


@pytest.mark.parametrize(
    ("borders", "usual"),
    [([0] * 10, 0), ([250, 251, 252] * 4, 251), ([20] * 19 + [200], 20), ([0, 255] * 5, None)],
)
def test_a_border_is_usual_if_nearly_all_images_have_it(
    borders: list[int], usual: int | None
) -> None:
    assert usual_border(framed(borders)) == usual


def test_the_border_of_clothes_is_black() -> None:
    assert usual_border(FashionMNIST().train()) == 0


def test_a_measured_border_is_expected_before_that_of_the_data_set() -> None:
    assert expected_border(Spec("a", (1, 4, 4), background=255)) == 255
    assert expected_border(Spec("a", (1, 4, 4), background=255, cropped=True)) is None
    assert expected_border(Spec("a", (1, 4, 4), background=255, cropped=True, usual_border=0)) == 0


def test_an_object_is_drawn_on_the_usual_border_and_pictures_keep_their_background() -> None:
    spec = Spec("a", (1, 4, 4), background=255, cropped=True, usual_border=0)
    assert Fitting.of(spec, find_object=True).background == 0
    assert Fitting.of(spec).background == 255
    assert Fitting.of(Spec("a", (1, 4, 4), background=255), find_object=True).background == 255
