"""The averages of an epoch."""

import math

import torch

from vae_cli.model import Loss
from vae_cli.training import Metrics
from vae_cli.training.metrics import Totals


def batch(count: int, loss: float) -> Loss:
    """The loss of a batch in which all items are alike."""
    return Loss(torch.tensor(loss), torch.full((count,), 2 * loss), torch.full((count, 3), loss))


def test_only_dimensions_above_the_threshold_are_active() -> None:
    kl = torch.tensor([1.5, 0.2, 0.009, 0.0])
    assert Metrics(0.0, 0.0, 0.0, kl).active == 2


def test_every_item_has_the_same_weight_in_batches_of_any_size() -> None:
    totals = Totals()
    for count, loss in ((3, 1.0), (1, 5.0)):
        totals.add(batch(count, loss))
        totals.count += count
    metrics = totals.mean()
    assert (metrics.loss, metrics.distortion, metrics.kl) == (2.0, 4.0, 6.0)
    assert metrics.kl_by_dim.tolist() == [2.0, 2.0, 2.0]


def test_cleared_and_restored_totals_stay_in_the_same_memory() -> None:
    totals = Totals()
    totals.add(batch(2, 1.0))
    totals.count += 2
    assert totals.sums is not None
    address, saved = totals.sums.data_ptr(), totals.sums.clone()
    totals.clear()
    assert totals.sums.eq(0).all()
    assert totals.count == 0
    totals.restore(saved, 2)
    assert totals.sums.equal(saved)
    assert totals.mean().loss == 1.0
    assert totals.sums.data_ptr() == address


def test_one_loss_that_is_not_finite_makes_the_totals_not_finite() -> None:
    totals = Totals()
    assert totals.are_finite()
    totals.add(batch(2, 1.0))
    assert totals.are_finite()
    totals.add(batch(2, math.nan))
    totals.add(batch(2, 1.0))
    assert not totals.are_finite()
