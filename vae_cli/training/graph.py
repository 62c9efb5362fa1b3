"""A training step captured once as a CUDA graph, then replayed for every full batch.

A step of a small network is some fifty kernels of a few microseconds each. Launched from Python
they take longer than they run; replayed as one graph they follow each other without a gap. All
that a step reads or writes therefore stays where it is on the device: the whole data set, the order
of the epoch, its learning rates, the totals.
"""

import warnings
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from vae_cli.data import Split, gather
from vae_cli.objectives import Objective
from vae_cli.training.epoch import Epoch, HostEpoch, check_finite, silent
from vae_cli.training.metrics import Metrics
from vae_cli.training.state import TrainState
from vae_cli.training.step import train_step

TOLD = 64  # batches between two words to progress


@final
class DeviceEpoch(Epoch):
    """An epoch whose every step finds its own batch on the device, by a counter that lives there.

    Args:
        state: what learns; its tensors are changed in place and never replaced.
        objective: what is minimised.
        split: what it learns from, on the device, at least one batch.
        batch_size: items a step; what is left over is one smaller step that is not captured.
    """

    def __init__(
        self, state: TrainState, objective: Objective, split: Split, batch_size: int
    ) -> None:
        device = split.items.device
        self.state, self.objective, self.split = state, objective, split
        self.batch_size = batch_size
        self.full = len(split) // batch_size
        self.order = split.rows.clone()
        self.rates = torch.zeros(-(-len(split) // batch_size), device=device)
        self.batch = torch.zeros(1, dtype=torch.int64, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None

    def step(self) -> None:
        """Train on the next full batch; reads and writes nothing outside the device."""
        batches = self.order[: self.full * self.batch_size].view(self.full, self.batch_size)
        x = gather(self.split.items, batches.index_select(0, self.batch).squeeze(0))
        rate = self.rates.index_select(0, self.batch).squeeze(0)
        self.state.totals.add(train_step(self.state, self.objective, x, rate))
        self.batch += 1

    def capture(self) -> None:
        """Record one step as a graph; the state comes out as it went in.

        Raises:
            RuntimeError: something in the step cannot be captured.
        """
        before = {name: tensor.clone() for name, tensor in self.state.tensors().items()}
        position = self.state.position()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries set themselves up before the capture
            for _ in range(3):
                self.batch.zero_()
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        self.state.load(before, position)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.state.generator)
        with torch.cuda.graph(graph):
            self.step()
        self.state.totals.count = position["count"]  # nothing ran while it was recorded
        self.graph = graph

    def run(
        self, order: Tensor, rates: Tensor, progress: Callable[[int], None] = silent
    ) -> Metrics:
        """Train on the items that are left; progress runs ahead of the device."""
        state = self.state
        self.order.copy_(self.split.rows[order])
        self.rates.copy_(rates)
        self.batch.fill_(state.done)
        for done in range(state.done, self.full):
            self.graph.replay() if self.graph else self.step()
            state.step, state.done = state.step + 1, done + 1
            state.totals.count = state.done * self.batch_size  # a replay runs no line of Python
            if state.done % TOLD == 0:
                progress(state.totals.count)
        rest = self.order[self.full * self.batch_size :]
        if len(rest) and state.done == self.full:
            x = gather(self.split.items, rest)
            state.totals.add(train_step(state, self.objective, x, self.rates[-1]))
            state.step, state.done = state.step + 1, state.done + 1
        check_finite(state)
        progress(len(order))
        metrics = state.totals.mean()
        state.end_epoch()
        return metrics


def prepare(state: TrainState, objective: Objective, split: Split, batch_size: int) -> Epoch:
    """The fastest epoch for these items: captured on CUDA where that is possible, else traced."""
    if split.items.is_cuda and len(split) >= batch_size:
        epoch = DeviceEpoch(state, objective, split, batch_size)
        try:
            epoch.capture()
        except RuntimeError as error:
            warnings.warn(f"training goes on without a CUDA graph: {error}", stacklevel=2)
        else:
            return epoch
    return HostEpoch(state, objective, split, batch_size)
