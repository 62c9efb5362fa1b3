"""Which items of a training set keep their labels: for learning from few of them."""

from dataclasses import replace

import torch
from torch import Tensor

from vae_cli.data.dataset import Spec
from vae_cli.data.streamed import SplitT
from vae_cli.errors import UsageError, mark
from vae_cli.noise import Noise, derive_seed


def hide_labels(part: SplitT, spec: Spec, labelled: float, seed: int) -> SplitT:
    """A training set in which the conditions of only some items are known.

    Those that are kept are drawn at random, as many of each class as there are: of the first column
    of the condition that has categories, if there is one. The items and their order stay the same.

    Args:
        part: the training set, with a row of its condition for each item.
        spec: what the items are.
        labelled: the share of the items that keep theirs, at most 1, or else their number.
        seed: of the run.

    Raises:
        UsageError: it is a number, but no whole one; or no item would keep its condition.
    """
    rows = part.condition
    if rows is None or labelled == 1:
        return part
    classes = next((n for n, column in enumerate(spec.condition) if column.categories), None)
    known = (~rows.isnan()).any(1) if classes is None else ~rows[:, classes].isnan()
    groups = torch.zeros(len(rows)) if classes is None else rows[:, classes]
    places, count = known.nonzero()[:, 0], count_labelled(labelled, len(rows))
    if not len(places):
        raise UsageError(f"{mark('data.labelled')}: no training item of {spec.name} has a label")
    kept = places[draw_evenly(groups[places], count, Noise(derive_seed(seed, "labelled")))]
    hidden = torch.full_like(rows, torch.nan)
    hidden[kept] = rows[kept]
    return replace(part, condition=hidden)


def count_labelled(labelled: float, items: int) -> int:
    """How many of so many items keep their labels, at least one.

    Raises:
        UsageError: the number is no whole one.

    Example:
        >>> count_labelled(0.01, 500), count_labelled(100, 500)
        (5, 100)
    """
    if labelled <= 1:
        return max(1, round(labelled * items))
    if labelled != int(labelled):
        raise UsageError(
            f"{mark(f'data.labelled={labelled:g}')}: more than 1 is a number of items, so it must "
            "be a whole one"
        )
    return int(labelled)


def draw_evenly(groups: Tensor, count: int, noise: Noise) -> Tensor:
    """The places of `count` values at random, as many of each group as there are.

    Groups that are too small give all they have, and the others more.

    Args:
        groups: the group of each value, `(N,)`.
        count: at most N are returned.
        noise: the source of the random numbers.

    Example:
        >>> groups = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2])
        >>> groups[draw_evenly(groups, 5, Noise(0))].sort().values
        tensor([0, 0, 1, 1, 2])
    """
    order = torch.randperm(len(groups), generator=noise.generator)
    drawn = groups[order]
    by_group = drawn.argsort(stable=True)
    starts = torch.searchsorted(drawn[by_group], drawn[by_group])  # of the group of each value
    ranks = torch.empty_like(order)
    ranks[by_group] = torch.arange(len(order)) - starts
    return order[ranks.argsort(stable=True)[:count]]
