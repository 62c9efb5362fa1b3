"""Figures, their errors, and the number of samples that fits into the time."""

import math

import pytest
import torch

from vae_cli.evaluation.figures import Absent, Figure, average, make_figure, share
from vae_cli.evaluation.likelihood import BUDGET, choose_samples


def test_the_error_of_an_average_is_that_of_the_mean() -> None:
    figure = average(torch.tensor([1.0, 2.0, 3.0, 6.0]), "numbers")
    assert isinstance(figure, Figure)
    assert figure.value == 3
    assert figure.error == pytest.approx(math.sqrt(14 / 3 / 4))


def test_the_error_of_a_share_is_binomial() -> None:
    figure = share(torch.tensor([True, False, False, False]), "true")
    assert isinstance(figure, Figure)
    assert figure.value == 0.25
    assert figure.error == pytest.approx(math.sqrt(0.25 * 0.75 / 4))


@pytest.mark.parametrize(("value", "said"), [(math.inf, "infinite"), (math.nan, "not a number")])
def test_numbers_that_are_not_finite_are_said_to_be_so(value: float, said: str) -> None:
    figure = make_figure(value, 1.0, "x")
    assert isinstance(figure, Absent)
    assert said in figure.reason


def test_one_item_has_no_error() -> None:
    figure = average(torch.tensor([2.0]), "one")
    assert figure == Figure(2.0, None, "one")


@pytest.mark.parametrize(
    ("seconds", "samples"), [(1e-9, 5000), (BUDGET / 1000 / 1500, 1000), (1.0, 100)]
)
def test_the_samples_are_as_many_as_fit_into_the_time(seconds: float, samples: int) -> None:
    assert choose_samples(seconds, items=1000) == samples
