"""One pass over the training set, wherever it is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import final

from torch import Tensor

from vae_cli.data import Split, at_once, gather
from vae_cli.errors import NonFiniteLossError
from vae_cli.objectives import Objective
from vae_cli.training.metrics import Metrics
from vae_cli.training.state import TrainState
from vae_cli.training.step import differentiate, trace

CHUNK = 1024  # items gathered at a time: enough to cost nothing


def silent(done: int) -> None:
    """Progress that nobody watches."""


class Epoch(ABC):
    """A prepared pass over a data set, run once for every epoch."""

    @abstractmethod
    def run(
        self, order: Tensor, rates: Tensor, progress: Callable[[int], None] = silent
    ) -> Metrics:
        """Train on every item once, or on what is left of an epoch that was broken off.

        Args:
            order: int64 `(N,)`, each of the split's items once, on its device.
            rates: float32, a learning rate a step.
            progress: called with the items done so far.

        Returns:
            The averages over the items, each as it was when its batch was trained on.

        Raises:
            NonFiniteLossError: a loss was infinite or not a number; the weights are still finite.
        """


@final
class HostEpoch(Epoch):
    """Batches gathered a chunk at a time; full ones go through the traced step.

    Args:
        state: what learns.
        objective: what is minimised.
        split: what it learns from.
        batch_size: items a step; the last step of an epoch may have fewer.
    """

    def __init__(
        self, state: TrainState, objective: Objective, split: Split, batch_size: int
    ) -> None:
        self.state, self.objective, self.split = state, objective, split
        self.batch_size = min(batch_size, len(split))
        first = gather(split.items, split.rows[: self.batch_size])
        self.traced = trace(state, objective, first)

    def run(
        self, order: Tensor, rates: Tensor, progress: Callable[[int], None] = silent
    ) -> Metrics:
        """Train on the items that are left, batch by batch."""
        state, steps = self.state, iter(rates.tolist()[self.state.done :])
        rows = self.split.rows[order[state.done * self.batch_size :]]
        for chunk in chunks(self.split.items, rows, self.batch_size):
            for x in chunk.split(self.batch_size):
                full = self.traced if len(x) == self.batch_size else None
                loss, gradients = full(x) if full else differentiate(state, self.objective, x)
                state.optimizer.step(gradients, next(steps), loss.loss)
                state.totals.add(loss)
                state.step, state.done = state.step + 1, state.done + 1
            check_finite(state)
            progress(state.totals.count)
        metrics = state.totals.mean()
        state.end_epoch()
        return metrics


def check_finite(state: TrainState) -> None:
    """Stop at a loss that is not finite; no step has been taken along its gradient.

    Raises:
        NonFiniteLossError: there was one in the epoch under way.
    """
    if not state.totals.finite():
        raise NonFiniteLossError(
            f"the loss is not finite in epoch {state.epoch + 1}: try a lower --learning-rate"
        )


def chunks(items: Tensor, rows: Tensor, batch_size: int) -> Iterator[Tensor]:
    """The items at those rows, in float32, a whole number of batches at a time."""
    size = max(1, at_once(items.shape[1:], CHUNK) // batch_size) * batch_size
    for some in rows.split(size) if len(rows) else ():
        yield gather(items, some)
