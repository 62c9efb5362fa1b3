"""An epoch whose steps are a flat list of operations, recorded once: the kind for processors."""

from collections.abc import Callable
from typing import final

from torch import Tensor

from vae_cli.data.dataset import Split
from vae_cli.model import Objective
from vae_cli.training.epoch import Epoch
from vae_cli.training.state import TrainState
from vae_cli.training.step import Reduce, identity, trace, train_step


@final
class TracedEpoch(Epoch):
    """Batches are gathered one chunk at a time; full batches go through the traced step."""

    def __init__(
        self,
        state: TrainState,
        objective: Objective,
        split: Split,
        batch_size: int,
        reduce: Reduce = identity,
    ) -> None:
        super().__init__(state, objective, split, batch_size, reduce)
        first = split.network_input(split.rows[: self.batch_size])
        self.traced = trace(state, objective, len(split), first)

    def train_on(
        self, order: Tensor, rates: Tensor, warmups: Tensor, progress: Callable[[int], None]
    ) -> None:
        """Train batch by batch."""
        state, done = self.state, self.state.done
        schedule = zip(rates.tolist()[done:], warmups[done:].unbind(), strict=True)
        rows = self.split.rows[order[done * self.batch_size :]]
        for chunk in self.split.chunks(rows, self.batch_size):
            for x in chunk.split(self.batch_size):
                step = self.traced if len(x) == self.batch_size else self.plain
                train_step(state, step, x, *next(schedule), self.reduce)
                state.count_step(len(x))
            self.require_finite_loss()
            progress(state.totals.count)
