"""One pass over the training set, whatever kind of step it takes."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from torch import Tensor

from vae_cli.data.dataset import Split, ignore_progress
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Objective
from vae_cli.training.metrics import Metrics
from vae_cli.training.state import TrainState
from vae_cli.training.step import Reduce, identity, loss_and_gradients


class Epoch(ABC):
    """A pass over a data set that is prepared once and run for every epoch.

    Args:
        state: what is trained; changed in place.
        objective: what is minimized.
        split: the training set.
        batch_size: items per step; the last step of an epoch may have fewer.
        reduce: combines the gradients and the totals of several processes.
    """

    def __init__(
        self,
        state: TrainState,
        objective: Objective,
        split: Split,
        batch_size: int,
        reduce: Reduce = identity,
    ) -> None:
        self.state, self.split, self.reduce = state, split, reduce
        self.objective = objective
        self.batch_size = min(batch_size, len(split))
        self.plain = partial(loss_and_gradients, state, objective, len(split))

    def run(
        self,
        order: Tensor,
        rates: Tensor,
        warmups: Tensor,
        progress: Callable[[int], None] = ignore_progress,
    ) -> Metrics:
        """Train on every item once, or on the rest of an epoch that was interrupted.

        Args:
            order: int64 `(N,)`, each index of the split once, on its device.
            rates: float32, one learning rate per step.
            warmups: float32, from 0 to 1, one per step.
            progress: called with the number of items done so far.

        Returns:
            The averages over the items; the loss of each is from the step that trained on it.

        Raises:
            NonFiniteLossError: a loss was infinite or not a number; the weights are still finite.
        """
        self.train_on(order, rates, warmups.to(order.device), progress)
        totals = self.state.totals
        own = list(totals.sums.values())
        for total, whole in zip(own, self.reduce(own), strict=True):
            if whole is not total:
                total.copy_(whole)  # a captured step adds to this memory
        metrics = totals.mean()
        self.state.end_epoch()
        return metrics

    @abstractmethod
    def train_on(
        self, order: Tensor, rates: Tensor, warmups: Tensor, progress: Callable[[int], None]
    ) -> None:
        """Do the steps that are left of the epoch."""

    def require_finite_loss(self) -> None:
        """Stop at a loss that is not finite; the optimizer has not used its gradients.

        Raises:
            NonFiniteLossError: there was one in the current epoch.
        """
        if not self.state.totals.are_finite():
            raise NonFiniteLossError(
                f"the loss or its gradient is not finite in epoch {self.state.epoch + 1}"
            )
