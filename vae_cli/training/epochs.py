"""One pass over the training set, in one of two kinds, and when each is the faster one.

A step of a small network consists of about fifty operations of a few microseconds each, and Python
takes longer to ask for them than they take. The three kinds of one step differ only in who asks:

plain      autograd, as `loss_and_gradients` is written: for a last batch that is smaller, for
           batches in several pieces, and for a model that cannot be traced
traced     the same operations as a flat list without autograd's bookkeeping: for processors, where
           a step of the default network takes a quarter less time
captured   the plain step recorded once as a CUDA graph and replayed for every full batch, without
           gaps between its kernels: for GPUs, where a traced step would wait for Python

For a capture, everything that a step reads or writes must stay at a fixed place on the device: the
whole data set, the order of the epoch, its learning rates and warm-ups, and the totals.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import final

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.batches import batches_per_chunk, steps_per_epoch
from vae_cli.data.dataset import ignore_progress
from vae_cli.data.split import InMemory, Split
from vae_cli.errors import NonFiniteLossError
from vae_cli.training.metrics import Metrics
from vae_cli.training.state import TrainState
from vae_cli.training.step import (
    Exchange,
    LossAndGradients,
    loss_and_gradients,
    trace,
    train_step,
)
from vae_cli.training.world import ALONE, Share, World, share_of, shared_batches

Progress = Callable[[int], None]


class Epoch(ABC):
    """A pass over a data set that is prepared once and run for every epoch.

    Args:
        state: what is trained; changed in place.
        split: the training set.
        batch_size: items per step of all processes; the last step of an epoch may have fewer.
        world: the processes that train together.
        accumulate: the pieces in which each of them computes its part of a batch.
    """

    def __init__(
        self,
        state: TrainState,
        split: Split,
        batch_size: int,
        world: World = ALONE,
        accumulate: int = 1,
    ) -> None:
        self.state, self.count = state, len(split)
        self.world, self.accumulate = world, accumulate
        self.batch_size = min(batch_size, len(split))
        self.steps = steps_per_epoch(len(split), self.batch_size)
        self.plain = partial(loss_and_gradients, state, len(split))
        self.exchange = Exchange(state.players, world) if world.size > 1 else None

    def train(
        self,
        step: LossAndGradients,
        batch: Batch,
        share: Share,
        rate: float | Tensor,
        warmup: Tensor,
    ) -> None:
        """Train on this process's share of a batch."""
        train_step(
            self.state,
            step,
            batch,
            learning_rate=rate,
            warmup=warmup,
            share=share,
            exchange=self.exchange,
        )

    def run(
        self, order: Tensor, rates: Tensor, warmups: Tensor, progress: Progress = ignore_progress
    ) -> Metrics:
        """Train on every item once, or on the rest of an epoch that was interrupted.

        Args:
            order: int64 `(N,)`, each place of the split once.
            rates: float32, one learning rate per step.
            warmups: float32, from 0 to 1, one per step.
            progress: called with the number of items done so far, in each process at the same step.

        Returns:
            The averages over the items; the loss of each is from the step that trained on it.

        Raises:
            NonFiniteLossError: a loss was infinite or not a number; the weights are still finite.
        """
        self.train_on(order, rates, warmups.to(self.state.model.device), progress)
        metrics = self.state.totals.gather(self.world).mean()  # waits for the device
        self.state.end_epoch()
        return metrics

    @abstractmethod
    def train_on(self, order: Tensor, rates: Tensor, warmups: Tensor, progress: Progress) -> None:
        """Do the steps that are left of the epoch."""

    def require_finite_loss(self) -> None:
        """Stop at a loss that is not finite; no optimizer has used its gradients.

        Raises:
            NonFiniteLossError: there was one in the current epoch.
        """
        if not self.state.totals.gather(self.world).are_finite():  # waits for the device
            raise NonFiniteLossError(
                f"the loss or its gradient is not finite in epoch {self.state.epoch + 1}"
            )


@final
class TracedEpoch(Epoch):
    """Batches come from the split one by one; full batches go through the traced step."""

    def __init__(
        self,
        state: TrainState,
        split: Split,
        batch_size: int,
        world: World = ALONE,
        accumulate: int = 1,
    ) -> None:
        super().__init__(state, split, batch_size, world, accumulate)
        self.split = split
        self.interval = batches_per_chunk(split.shape, self.batch_size)  # steps between two looks
        first, share = next(self.batches(torch.arange(self.batch_size)))
        self.traced = trace(state, len(split), first, share)

    def batches(self, order: Tensor) -> Iterator[tuple[Batch, Share]]:
        """This process's share of the batches, on the device of the model."""
        return shared_batches(
            self.split,
            order,
            self.batch_size,
            self.state.model.device,
            world=self.world,
            pieces=self.accumulate,
        )

    def train_on(self, order: Tensor, rates: Tensor, warmups: Tensor, progress: Progress) -> None:
        """Train batch by batch."""
        state, done = self.state, self.state.done
        schedule = zip(rates.tolist()[done:], warmups[done:].unbind(), strict=True)
        for batch, share in self.batches(order[done * self.batch_size :]):
            is_full = share.items == self.batch_size
            step = self.traced if is_full else partial(self.plain, share=share)
            rate, warmup = next(schedule)
            self.train(step, batch, share, rate, warmup)
            state.count_step(share.items)
            if state.done % self.interval == 0 or state.done == self.steps:
                self.require_finite_loss()
                progress(state.totals.count)


PROGRESS_INTERVAL = 64  # batches between two calls of progress
WARMUP_STEPS = 3  # before a capture, so that libraries allocate what they need


@final
class CapturedEpoch(Epoch):
    """An epoch whose steps find their batch on the device, by a counter that is also there.

    The split must be on the device and hold at least one batch. Each of several processes has the
    whole order there, and takes its share of each batch; the exchange of the gradients is a part of
    the graph. The items that are left over at the end are one smaller step, which is not captured.
    """

    def __init__(
        self,
        state: TrainState,
        split: InMemory,
        batch_size: int,
        world: World = ALONE,
        accumulate: int = 1,
    ) -> None:
        super().__init__(state, split, batch_size, world, accumulate)
        self.split, self.full_batches = split, len(split) // self.batch_size
        self.share = share_of(self.batch_size, world, accumulate)
        self.rows, self.condition = split.rows.clone(), None
        if split.condition is not None:
            self.condition = split.condition.clone()
        device = split.items.device
        self.rates, self.warmups = (torch.zeros(self.steps, device=device) for _ in range(2))
        self.batch = torch.zeros(1, dtype=torch.int64, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None

    def step(self) -> None:
        """Train on the next full batch; it reads and writes nothing outside the device."""
        condition = None if self.condition is None else self.pick(self.in_batches(self.condition))
        rows = self.pick(self.in_batches(self.rows))
        batch = Batch(self.split.network_input(rows), condition)
        step = partial(self.plain, share=self.share)
        self.train(step, batch, self.share, self.pick(self.rates), self.pick(self.warmups))
        self.batch += 1

    def in_batches(self, values: Tensor) -> Tensor:
        """What belongs to this process's items of the full batches, `(full_batches, part, ...)`."""
        full = values[: self.full_batches * self.batch_size]
        whole = full.view(self.full_batches, self.batch_size, *values.shape[1:])
        return self.share.take(whole, 1)

    def pick(self, values: Tensor) -> Tensor:
        """What belongs to the next batch, by the counter on the device."""
        return values.index_select(0, self.batch).squeeze(0)

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
        graph.register_generator_state(self.state.noise.generator)
        # NCCL has a thread that asks for the state of its work, which must not end the capture.
        mode = "global" if self.world.size == 1 else "thread_local"
        with torch.cuda.graph(graph, capture_error_mode=mode):
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

    def train_on(self, order: Tensor, rates: Tensor, warmups: Tensor, progress: Progress) -> None:
        """Train by replaying the graph; progress is ahead of the device."""
        state = self.state
        self.visit(order)
        self.rates.copy_(rates)
        self.warmups.copy_(warmups)
        self.batch.fill_(state.done)
        while state.done < self.full_batches:
            self.graph.replay() if self.graph else self.step()
            state.count_step(self.batch_size)
            if state.done % PROGRESS_INTERVAL == 0:
                state.totals.gather(self.world)
                progress(state.totals.count)
        if state.done < self.steps:
            self.train_on_rest()
        self.require_finite_loss()
        progress(self.count)

    def visit(self, order: Tensor) -> None:
        """Put the items of an epoch in this order, at their fixed places on the device."""
        order = order.to(self.rows.device)
        self.rows.copy_(self.split.rows[order])
        if self.condition is not None and self.split.condition is not None:
            self.condition.copy_(self.split.condition[order])

    def train_on_rest(self) -> None:
        """Train on the items that are left over after the full batches."""
        start = self.full_batches * self.batch_size
        share = share_of(self.count - start, self.world, self.accumulate)
        rows, condition = share.take(self.rows[start:], 0), None
        if self.condition is not None:
            condition = share.take(self.condition[start:], 0)
        batch = Batch(self.split.network_input(rows), condition)
        step = partial(self.plain, share=share)
        self.train(step, batch, share, self.rates[-1], self.warmups[-1])
        self.state.count_step(share.items)


def prepare_epoch(
    state: TrainState, split: Split, batch_size: int, world: World = ALONE, accumulate: int = 1
) -> Epoch:
    """The fastest kind of epoch for a split: captured on CUDA if that is possible, else traced."""
    if isinstance(split, InMemory) and split.items.is_cuda and len(split) >= batch_size:
        epoch = CapturedEpoch(state, split, batch_size, world, accumulate)
        failure = None
        try:
            epoch.capture()
        except RuntimeError as error:
            failure = error
            warnings.warn(f"training goes on without a CUDA graph: {error}", stacklevel=2)
        if not world.any(failure is not None):  # all take the same kind of step
            return epoch
    return TracedEpoch(state, split, batch_size, world, accumulate)
