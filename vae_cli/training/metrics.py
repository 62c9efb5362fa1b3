"""The averages of an epoch: sums over items that stay on the device until they are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from vae_cli.model import Loss

ACTIVE_THRESHOLD = 0.01  # nats of KL; a latent dimension with less carries no information
NO_DIMENSIONS = torch.zeros(0)


@dataclass(frozen=True)
class Metrics:
    """Averages over items.

    Attributes:
        loss: what is minimized.
        terms: its terms in nats, by name. `kl` is not weighted by β.
        elbo: the evidence lower bound in nats, with the constant of the likelihood; only of an
            evaluation.
        kl_by_dim: KL by latent dimension, `(D,)`, on the CPU; only of an evaluation.
    """

    loss: float
    terms: dict[str, float]
    elbo: float = float("nan")
    kl_by_dim: Tensor = field(default=NO_DIMENSIONS)

    @property
    def active(self) -> int:
        """The number of latent dimensions that carry information about an item."""
        return int((self.kl_by_dim > ACTIVE_THRESHOLD).sum())


@dataclass(frozen=True)
class EpochReport:
    """The metrics at the end of an epoch; `seconds` is the time of its training part."""

    epoch: int
    train: Metrics
    test: Metrics
    seconds: float


@final
class Totals:
    """Sums over items: the loss, and each of its terms.

    Attributes:
        sums: scalars on the device, by name, in any order. Empty before the first batch.
        count: the number of items in the sums.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sums: dict[str, Tensor] = {}

    def add(self, loss: Loss) -> None:
        """Add a batch, each item with the same weight, so that a short last batch counts less.

        The sums are changed in place, because a captured step needs them at a fixed address. The
        caller adds to `count`, which a captured step cannot do.
        """
        if not self.sums:
            self.sums = {name: loss.loss.new_zeros(()) for name in ("loss", *loss.terms)}
        items = len(next(iter(loss.terms.values())))
        self.sums["loss"].add_(loss.loss.detach(), alpha=items)
        for name, term in loss.terms.items():
            self.sums[name].add_(term.sum())

    def restore(self, sums: Mapping[str, Tensor], count: int) -> None:
        """Continue from sums that were saved; none means that there were none yet."""
        self.clear()
        for name, total in sums.items():
            if name in self.sums:
                self.sums[name].copy_(total)
            else:
                self.sums[name] = total.clone()
        self.count = count

    def are_finite(self) -> bool:
        """Whether every loss was a finite number. Waits for the device."""
        return not self.sums or bool(torch.stack([*self.sums.values()]).isfinite().all())

    def clear(self) -> None:
        """Start again from zero, in the same memory."""
        self.count = 0
        for total in self.sums.values():
            total.zero_()

    def mean(self) -> Metrics:
        """The averages over the items. Waits for the device."""
        assert self.sums  # at least one batch was added
        totals = zip(self.sums, torch.stack([*self.sums.values()]).tolist(), strict=True)
        means = {name: total / self.count for name, total in totals}
        return Metrics(means.pop("loss"), means)
