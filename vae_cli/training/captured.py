"""A training step that is captured once as a CUDA graph and replayed for every full batch.

A step of a small network consists of about fifty kernels of a few microseconds each. Launching them
from Python takes longer than running them; the replay of a graph starts them without a gap. For
this, everything that a step reads or writes must stay at a fixed place on the device: the whole
data set, the order of the epoch, its learning rates and warm-ups, and the totals.
"""

import warnings
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from vae_cli.data.batches import steps_per_epoch
from vae_cli.data.dataset import Split
from vae_cli.model import Objective
from vae_cli.training.epoch import Epoch
from vae_cli.training.state import TrainState
from vae_cli.training.step import Reduce, identity, train_step
from vae_cli.training.traced import TracedEpoch

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
        split: Split,
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
    split: Split,
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
