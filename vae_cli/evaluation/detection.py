"""How well a score tells positive items from the others, at every threshold at once.

A threshold t calls the items with a score of at least t positive. Of P positive and N other items,
it finds the share TPR(t) of the positive ones, and calls the share FPR(t) of the others positive
too; of what it calls positive, the share Precision(t) is.

    AUROC              = ∫ TPR dFPR             = P(s₊ > s₋) + ½ P(s₊ = s₋)
    average precision  = Σ_t Precision(t) ΔTPR(t)           from the highest threshold downwards

The AUROC is the probability that a positive item has a higher score than another one, so it is ½ by
chance, whatever the share of positive items (Hanley & McNeil, 1982,
https://doi.org/10.1148/radiology.143.1.7063747). If few items are positive, the average precision
says more about the top of the list: by chance, it is their share (Davis & Goadrich, 2006,
https://doi.org/10.1145/1143844.1143874).
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Detection(NamedTuple):
    """How well a score tells two classes apart.

    Attributes:
        auroc: the area under the curve of TPR over FPR, from 0 to 1.
        average_precision: the mean precision, from 0 to 1.
        positives: the number of positive items.
        items: the number of all items.
    """

    auroc: float
    average_precision: float
    positives: int
    items: int


def measure_detection(scores: Tensor, is_positive: Tensor) -> Detection:
    """AUROC and average precision of scores `(N,)` for classes `(N,)` that are known.

    Items with the same score are called positive together, so their order does not matter.

    Args:
        scores: higher for items that look positive; infinities are allowed.
        is_positive: bool; there are items of both classes.

    Example:
        >>> scores = torch.tensor([0.9, 0.8, 0.7, 0.1])
        >>> measure_detection(scores, torch.tensor([True, False, True, False]))[:2]
        (0.75, 0.8333333333333333)
    """
    order = scores.argsort(descending=True)
    ranked, hits = scores[order], is_positive[order].double().cumsum(0)
    last = torch.ones_like(ranked, dtype=torch.bool)  # of the items with the same score
    last[:-1] = ranked[1:] != ranked[:-1]
    called = torch.arange(1, len(scores) + 1, dtype=torch.float64)[last]
    found, total = hits[last], hits[-1]
    zero = torch.zeros(1, dtype=torch.float64)
    recall, false = torch.cat([zero, found / total]), torch.cat([zero, called - found])
    auroc = torch.trapezoid(recall, false / (len(scores) - total))
    precision = (recall.diff() * found / called).sum()
    return Detection(auroc.item(), precision.item(), int(total), len(scores))
