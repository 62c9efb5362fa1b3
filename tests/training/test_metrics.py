"""The averages of an epoch."""

import math

import torch

from vae_cli.model import Loss
from vae_cli.training import Metrics
from vae_cli.training.metrics import Totals


def batch(count: int, loss: float) -> Loss:
    """The loss of a batch in which all items are alike."""
    terms = {"kl": torch.full((count,), 3 * loss), "mse": torch.full((count,), 2 * loss)}
    return Loss(torch.tensor(loss), terms)


def test_only_dimensions_above_the_threshold_are_active() -> None:
    kl = torch.tensor([1.5, 0.2, 0.009, 0.0])
    assert Metrics(0.0, {}, kl_by_dim=kl).active == 2


def test_every_item_has_the_same_weight_in_batches_of_any_size() -> None:
    totals = Totals()
    for count, loss in ((3, 1.0), (1, 5.0)):
        totals.add(batch(count, loss))
        totals.count += count
    metrics = totals.mean()
    assert metrics.loss == 2.0
    assert metrics.terms == {"kl": 6.0, "mse": 4.0}


def test_cleared_and_restored_totals_stay_in_the_same_memory() -> None:
    totals = Totals()
    totals.add(batch(2, 1.0))
    totals.count += 2
    addresses = [total.data_ptr() for total in totals.sums.values()]
    saved = {name: total.clone() for name, total in totals.sums.items()}
    totals.clear()
    assert not any(totals.sums.values())
    assert totals.count == 0
    totals.restore(saved, 2)
    assert totals.sums == saved
    assert totals.mean().loss == 1.0
    assert [total.data_ptr() for total in totals.sums.values()] == addresses


def test_one_loss_that_is_not_finite_makes_the_totals_not_finite() -> None:
    totals = Totals()
    assert totals.are_finite()
    totals.add(batch(2, 1.0))
    assert totals.are_finite()
    totals.add(batch(2, math.nan))
    totals.add(batch(2, 1.0))
    assert not totals.are_finite()
