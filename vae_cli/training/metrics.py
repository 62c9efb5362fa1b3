"""The averages of an epoch: sums over items that stay on the device until they are read."""

from dataclasses import dataclass
from typing import final

from torch import Tensor

from vae_cli.model import Loss

ACTIVE_THRESHOLD = 0.01  # nats of KL; a latent dimension with less carries no information


@dataclass(frozen=True)
class Metrics:
    """Averages over items.

    Attributes:
        loss: distortion + β KL.
        distortion: −log p(x|z) in nats without its constant; of images, the sum of squared errors.
        kl: in nats, summed over latent dimensions, not weighted by β.
        kl_by_dim: the same by dimension, `(D,)`, on the CPU.
    """

    loss: float
    distortion: float
    kl: float
    kl_by_dim: Tensor

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
    """Sums over items: the loss, the distortion, and the KL of each dimension.

    Attributes:
        sums: `(2 + D,)`, on the device; None before the first batch.
        count: the number of items in the sums.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sums: Tensor | None = None

    def add(self, loss: Loss) -> None:
        """Add a batch, each item with the same weight, so that a short last batch counts less.

        The sums are changed in place, because a captured step needs them at a fixed address. The
        caller adds to `count`, which a captured step cannot do.
        """
        count, dims = loss.kl.shape
        if self.sums is None:
            self.sums = loss.kl.new_zeros(2 + dims)
        total, distortion, kl = self.sums.split_with_sizes((1, 1, dims))
        total.add_(loss.loss.detach(), alpha=count)
        distortion.add_(loss.distortion.sum())
        kl.add_(loss.kl.sum(0))

    def restore(self, sums: Tensor | None, count: int) -> None:
        """Continue from sums that were saved; None means that there were none yet."""
        self.clear()
        if sums is not None and self.sums is not None:
            self.sums.copy_(sums)
        elif sums is not None:
            self.sums = sums.clone()
        self.count = count

    def are_finite(self) -> bool:
        """Whether every loss was a finite number. Waits for the device."""
        return self.sums is None or bool(self.sums.isfinite().all())

    def clear(self) -> None:
        """Start again from zero, in the same memory."""
        self.count = 0
        if self.sums is not None:
            self.sums.zero_()

    def mean(self) -> Metrics:
        """The averages over the items. Waits for the device."""
        assert self.sums is not None  # at least one batch was added
        means = self.sums.cpu() / self.count
        kl = means[2:]
        return Metrics(float(means[0]), float(means[1]), float(kl.sum()), kl)
