"""The averages of an epoch."""

import math

import pytest
import torch

from vae_cli.model import Loss
from vae_cli.training import Metrics
from vae_cli.training.metrics import Totals

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
