"""One pass over the training images, wherever they are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import final

from torch import Tensor

from vae_cli.data import gather, unit_interval
from vae_cli.errors import NonFiniteLossError
from vae_cli.objectives import Objective
from vae_cli.training.metrics import Metrics
from vae_cli.training.state import TrainState
from vae_cli.training.step import differentiate, trace

CHUNK = 1024  # images gathered at a time: few enough to stay small, enough to cost nothing


def silent(done: int) -> None:
    """Progress that nobody watches."""


class Epoch(ABC):
    """A prepared pass over a data set, run once for every epoch."""

    @abstractmethod
    def run(
        self, order: Tensor, rates: Tensor, progress: Callable[[int], None] = silent
    ) -> Metrics:
        """Train on every image once, or on what is left of an epoch that was broken off.

        Args:
            order: int64 `(N,)`, each image's index once, on the images' device.
            rates: float32, a learning rate a step.
            progress: called with the images done so far.

        Returns:
            The averages over the images, each as it was when its batch was trained on.

        Raises:
            NonFiniteLossError: a loss was infinite or not a number; the weights are still finite.
        """


@final
class HostEpoch(Epoch):
    """Batches gathered a chunk at a time; full ones go through the traced step.

    Args:
        state: what learns.
        objective: what is minimised.
        images: uint8 `(N, C, H, W)`.
        batch_size: images a step; the last step of an epoch may have fewer.
    """

    def __init__(
        self, state: TrainState, objective: Objective, images: Tensor, batch_size: int
    ) -> None:
        self.state, self.objective, self.images = state, objective, images
        self.batch_size = min(batch_size, len(images))
        self.traced = trace(state, objective, unit_interval(images[: self.batch_size]))

    def run(
        self, order: Tensor, rates: Tensor, progress: Callable[[int], None] = silent
    ) -> Metrics:
        """Train on the images that are left, batch by batch."""
        state, steps = self.state, iter(rates.tolist()[self.state.done :])
        for chunk in chunks(self.images, order[state.done * self.batch_size :], self.batch_size):
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


def chunks(images: Tensor, order: Tensor, batch_size: int) -> Iterator[Tensor]:
    """The images in that order, scaled to [0, 1], a whole number of batches at a time."""
    size = max(1, CHUNK // batch_size) * batch_size
    for indices in order.split(size) if len(order) else ():
        yield gather(images, indices)
