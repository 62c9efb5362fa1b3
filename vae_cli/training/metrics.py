"""What is known of an epoch: sums over images that stay on the device until they are read."""

from dataclasses import dataclass

from torch import Tensor

from vae_cli.objectives import Loss

ACTIVE = 0.01  # nats; a latent dimension that tells less than this about an image is silent


@dataclass(frozen=True)
class Metrics:
    """Averages over images.

    Attributes:
        loss: distortion + β KL.
        distortion: the sum of an image's squared errors.
        kl: nats, not weighted by β, summed over dimensions.
        kl_by_dim: the same by dimension, `(D,)`, on the CPU.
    """

    loss: float
    distortion: float
    kl: float
    kl_by_dim: Tensor

    @property
    def active(self) -> int:
        """How many latent dimensions say something about an image."""
        return int((self.kl_by_dim > ACTIVE).sum())


@dataclass(frozen=True)
class EpochReport:
    """What is known at the end of an epoch; `seconds` is the training part of it."""

    epoch: int
    train: Metrics
    test: Metrics
    seconds: float


class Totals:
    """Sums over images: the loss, the distortion, and the KL of each dimension."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: Tensor | None = None

    def add(self, loss: Loss) -> None:
        """Count a batch by its images, so that a short last batch weighs no more than it should.

        Everything is added in place, where a captured step finds it again.
        """
        count, dims = loss.kl.shape
        if self.sums is None:
            self.sums = loss.kl.new_zeros(2 + dims)
        total, distortion, kl = self.sums.split_with_sizes((1, 1, dims))
        self.count += count
        total.add_(loss.loss.detach(), alpha=count)
        distortion.add_(loss.distortion.sum())
        kl.add_(loss.kl.sum(0))

    def put(self, sums: Tensor | None, count: int) -> None:
        """Take over sums that were kept; None is none yet."""
        self.clear()
        if sums is not None and self.sums is not None:
            self.sums.copy_(sums)
        elif sums is not None:
            self.sums = sums.clone()
        self.count = count

    def finite(self) -> bool:
        """Whether nothing infinite or undefined was added; waits for the device."""
        return self.sums is None or bool(self.sums.isfinite().all())

    def clear(self) -> None:
        """Start again from zero, in the same memory."""
        self.count = 0
        if self.sums is not None:
            self.sums.zero_()

    def mean(self) -> Metrics:
        """The averages; waits for the device. At least one batch must have been added."""
        assert self.sums is not None
        means = self.sums.cpu() / self.count
        kl = means[2:]
        return Metrics(float(means[0]), float(means[1]), float(kl.sum()), kl)
