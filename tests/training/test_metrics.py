"""The averages of an epoch."""

import math

import pytest
import torch

from vae_cli.model import Loss
from vae_cli.training import Metrics
from vae_cli.training.metrics import Totals, count_name

NAMES = ("loss", "critic_loss", "kl", "mmd")


def batch(count: int, loss: float) -> Loss:
    """The losses of a batch in which all items are alike; one term belongs to the whole batch."""
    return Loss(
        losses={"model": torch.tensor(loss), "critic": torch.tensor(-loss)},
        terms={"kl": torch.full((count,), 3 * loss), "mmd": torch.tensor(2 * loss)},
        items=count,
    )


def make_totals(*batches: tuple[int, float]) -> Totals:
    totals = Totals(NAMES, torch.device("cpu"))
    for count, loss in batches:
        totals.add(batch(count, loss))
        totals.count += count
    return totals


def test_only_dimensions_above_the_threshold_are_active() -> None:
    kl = torch.tensor([1.5, 0.2, 0.009, 0.0])
    assert Metrics(0.0, {}, kl_by_dim=kl).active == 2


def test_every_item_has_the_same_weight_in_batches_of_any_size() -> None:
    metrics = make_totals((3, 1.0), (1, 5.0)).mean()
    assert metrics.loss == 2.0
    assert metrics.terms == {"critic_loss": -2.0, "kl": 6.0, "mmd": 4.0}


def test_a_term_of_some_items_is_averaged_over_those_and_is_no_number_of_none() -> None:
    totals = Totals(("loss", "accuracy", count_name("accuracy")), torch.device("cpu"))
    for values in ([1.0, math.nan, 0.0, 1.0], [math.nan, 1.0]):
        terms = {"accuracy": torch.tensor(values)}
        totals.add(Loss({"model": torch.tensor(2.0)}, terms, len(values)))
        totals.count += len(values)
    assert totals.are_finite()
    assert totals.mean() == Metrics(2.0, {"accuracy": 0.75})
    totals.clear()
    totals.count = 1
    assert math.isnan(totals.mean().terms["accuracy"])


def test_totals_stay_in_the_same_memory() -> None:
    totals = make_totals((2, 1.0))
    addresses = [total.data_ptr() for total in totals.sums.values()]
    totals.clear()
    assert not any(totals.sums.values())
    assert totals.count == 0
    totals.add(batch(2, 1.0))
    assert [total.data_ptr() for total in totals.sums.values()] == addresses


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_one_loss_that_is_not_finite_makes_the_totals_not_finite(loss: float) -> None:
    assert make_totals().are_finite()
    assert make_totals((2, 1.0)).are_finite()
    assert not make_totals((2, loss), (2, 1.0)).are_finite()


def test_a_term_that_an_objective_does_not_declare_is_refused() -> None:
    with pytest.raises(KeyError, match="mmd"):
        Totals(NAMES[:-1], torch.device("cpu")).add(batch(2, 1.0))
