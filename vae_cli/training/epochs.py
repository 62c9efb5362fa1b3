"""One pass over the training set, whatever kind of step it takes.

An epoch whose steps are a flat list of operations, recorded once: the kind for processors.

A training step that is captured once as a CUDA graph and replayed for every full batch.

A step of a small network consists of about fifty kernels of a few microseconds each. Launching them
from Python takes longer than running them; the replay of a graph starts them without a gap. For
this, everything that a step reads or writes must stay at a fixed place on the device: the whole
data set, the order of the epoch, its learning rates and warm-ups, and the totals.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import final

import torch
from torch import Tensor

from vae_cli.data.batches import steps_per_epoch
from vae_cli.data.dataset import ignore_progress
from vae_cli.data.split import InMemory
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Objective
from vae_cli.training.metrics import Metrics
from vae_cli.training.state import TrainState
from vae_cli.training.step import Reduce, identity, loss_and_gradients, trace, train_step


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
        split: InMemory,
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


@final
class TracedEpoch(Epoch):
    """Batches are gathered one chunk at a time; full batches go through the traced step."""

    def __init__(
        self,
        state: TrainState,
        objective: Objective,
        split: InMemory,
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


PROGRESS_INTERVAL = 64  # batches between two calls of progress
WARMUP_STEPS = 3  # before a capture, so that libraries allocate what they need


@final
class CapturedEpoch(Epoch):
    """An epoch whose steps find their batch on the device, by a counter that is also there.

    The split must be on the device and hold at least one batch. The items that are left over at
    the end are one smaller step, which is not captured.
    """

    def __init__(
        self,
        state: TrainState,
        objective: Objective,
        split: InMemory,
        batch_size: int,
        reduce: Reduce = identity,
    ) -> None:
        super().__init__(state, objective, split, batch_size, reduce)
        device = split.items.device
        self.full_batches = len(split) // self.batch_size
        self.order = split.rows.clone()
        steps = steps_per_epoch(len(split), self.batch_size)
        self.rates, self.warmups = (torch.zeros(steps, device=device) for _ in range(2))
        self.batch = torch.zeros(1, dtype=torch.int64, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None

    def step(self) -> None:
        """Train on the next full batch; it reads and writes nothing outside the device."""
        rows = self.order[: self.full_batches * self.batch_size]
        batches = rows.view(self.full_batches, self.batch_size)
        x = self.split.network_input(batches.index_select(0, self.batch).squeeze(0))
        rate, warmup = (
            values.index_select(0, self.batch).squeeze(0) for values in (self.rates, self.warmups)
        )
        train_step(self.state, self.plain, x, rate, warmup, self.reduce)
        self.batch += 1

    def capture(self) -> None:
        """Record one step as a graph; the state is afterwards the same as before.

        Raises:
            RuntimeError: something in the step cannot be captured.
        """
        before = {name: tensor.clone() for name, tensor in self.state.tensors().items()}
        position = self.state.position()
        try:
            self.warm_up()
        finally:
            self.state.restore(before, position)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.state.generator)
        with torch.cuda.graph(graph):
            self.step()
        self.graph = graph

    def warm_up(self) -> None:
        """Do a few steps on a stream of their own, as a capture requires."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUP_STEPS):
                self.batch.zero_()
                self.step()
        torch.cuda.current_stream().wait_stream(stream)

    def train_on(
        self, order: Tensor, rates: Tensor, warmups: Tensor, progress: Callable[[int], None]
    ) -> None:
        """Train by replaying the graph; progress is ahead of the device."""
        state = self.state
        self.order.copy_(self.split.rows[order])
        self.rates.copy_(rates)
        self.warmups.copy_(warmups)
        self.batch.fill_(state.done)
        while state.done < self.full_batches:
            self.graph.replay() if self.graph else self.step()
            state.count_step(self.batch_size)
            if state.done % PROGRESS_INTERVAL == 0:
                progress(state.totals.count)
        rest = self.order[self.full_batches * self.batch_size :]
        if len(rest) and state.done == self.full_batches:
            x = self.split.network_input(rest)
            train_step(state, self.plain, x, self.rates[-1], self.warmups[-1], self.reduce)
            state.count_step(len(rest))
        self.require_finite_loss()
        progress(len(order))


def prepare_epoch(
    state: TrainState,
    objective: Objective,
    split: InMemory,
    batch_size: int,
    reduce: Reduce = identity,
) -> Epoch:
    """The fastest kind of epoch for a split: captured on CUDA if that is possible, else traced."""
    if split.items.is_cuda and len(split) >= batch_size:
        epoch = CapturedEpoch(state, objective, split, batch_size, reduce)
        try:
            epoch.capture()
        except RuntimeError as error:
            warnings.warn(f"training goes on without a CUDA graph: {error}", stacklevel=2)
        else:
            return epoch
    return TracedEpoch(state, objective, split, batch_size, reduce)
