"""How several processes exchange gradients: one flat tensor, against DistributedDataParallel.

    python tests/benchmarks/exchange.py mlp --processes 2
    python tests/benchmarks/exchange.py wide --processes 4 --rounds 10

Each way does the same steps on the same batches: the losses and gradients of this process's part,
and their exchange, without the optimizer. The ways take turns, because a computer is never quiet.

    compute   the traced step of the part alone: what no exchange can be faster than
    vae       the traced step, and the exchange of `vae`: copied into one tensor that is kept
    new       the same with a new tensor in each step
    large     gradients of a megabyte or more are exchanged where they lie, and the others as one
    cat       the same with `torch.cat`, whose result needs another copy for the optimizer
    plain     the exchange of `vae` after a step of autograd
    ddp       DistributedDataParallel, which exchanges what is ready during the backward pass
    bytes     one all-reduce of as many bytes, and nothing else
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import Spec
from vae_cli.model import Context
from vae_cli.settings import choose, merge
from vae_cli.training import Gradients, Processes, TrainState, loss_and_gradients, trace
from vae_cli.training.step import Exchange
from vae_cli.training.world import share_of

MODELS = {
    "mlp": {"network": "mlp"},
    "wide": {"network": "mlp", "hidden": [4096]},
    "conv": {"network": "conv", "preset": "small"},
    "conv-base": {"network": "conv", "preset": "base"},
}
SPEC = Spec("digits", (1, 28, 28))
Way = Callable[[], object]
LARGE = 2**18  # values: a megabyte


class LossOf(nn.Module):
    """The loss of a batch as the output of a module, as DistributedDataParallel wants it."""

    def __init__(self, state: TrainState) -> None:
        super().__init__()
        self.model, self.state = state.model, state

    def forward(self, x: Tensor) -> Tensor:
        batch = Batch(x)
        inference = self.model(batch, 1, self.state.noise)
        context = Context(torch.ones(()), 60_000, self.state.noise)
        return self.state.objective(batch, inference, context).losses["model"]


def make_ways(model: str, batch_size: int) -> dict[str, Way]:
    """What is compared, each with a state of its own."""
    world, plan = Processes(), choose(merge(("", {"model": MODELS[model]})), SPEC)
    state, other = (plan.build_state(SPEC, torch.device("cpu")) for _ in range(2))
    share, warmup = share_of(batch_size, world), torch.ones(())
    batch = Batch(share.take(torch.rand(batch_size, *SPEC.shape), 0))
    traced = trace(state, 60_000, batch, share)
    like = state.players["model"].parameters.values()
    exchange = Exchange(state.players, world)
    wrapped = DistributedDataParallel(LossOf(other), gradient_as_bucket_view=True)
    total = torch.zeros(())

    def send(loss: object, gradients: Gradients) -> None:
        exchange.sum(gradients, total)

    def send_large(loss: object, gradients: Gradients) -> None:
        own = gradients["model"]
        for gradient in own:
            if gradient.numel() >= LARGE:
                world.sum_in_place(gradient)
        world.sum([total, *(gradient for gradient in own if gradient.numel() < LARGE)])

    def concatenate() -> None:
        sums = world.sum(list(chain(*traced(batch, warmup)[1].values())))
        torch._foreach_copy_([torch.empty_like(parameter) for parameter in like], sums)

    def step_with_ddp() -> None:
        wrapped.zero_grad()
        wrapped(batch.x).backward()

    return {
        "compute": lambda: traced(batch, warmup),
        "vae": lambda: send(*traced(batch, warmup)),
        "new": lambda: Exchange(state.players, world).sum(traced(batch, warmup)[1], total),
        "large": lambda: send_large(*traced(batch, warmup)),
        "cat": concatenate,
        "plain": lambda: send(*loss_and_gradients(state, 60_000, batch, warmup, share=share)),
        "ddp": step_with_ddp,
        "bytes": lambda: world.sum_in_place(exchange.memory),
    }


def measure(way: Way, steps: int) -> tuple[float, float]:
    """Milliseconds of the clock and of the processor for one step, of this process."""
    distributed.barrier()
    clock, used = time.perf_counter(), time.process_time()
    for _ in range(steps):
        way()
    distributed.barrier()
    return (
        1000 * (time.perf_counter() - clock) / steps,
        1000 * (time.process_time() - used) / steps,
    )


def work(rank: int, store: str, options: argparse.Namespace) -> None:
    """Measure as one of several processes; the first one prints."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=options.processes
    )
    ways = make_ways(options.model, options.batch_size)
    ways = {name: way for name, way in ways.items() if name in (options.way or ways)}
    for way in ways.values():
        measure(way, 3)
    start = time.perf_counter()
    measure(ways["vae"], 3)
    taken = torch.tensor((time.perf_counter() - start) / 3)
    distributed.broadcast(taken, 0)  # all must do as many steps
    steps = max(1, min(100, int(0.3 / taken.item())))
    rounds = [
        {name: measure(way, steps) for name, way in ways.items()} for _ in range(options.rounds)
    ]
    if rank == 0:
        table = Table("way", "clock ms", "lowest", "processor ms", "lowest")
        for name in ways:
            clock, used = zip(*(one[name] for one in rounds), strict=True)
            figures = (statistics.median(clock), min(clock), statistics.median(used), min(used))
            table.add_row(name, *(f"{figure:.2f}" for figure in figures))
        title = f"{options.model}, {options.processes} processes, {steps} steps a round, "
        Console().print(f"{title}load {os.getloadavg()[0]:.1f}")
        Console().print(table)
    distributed.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare ways to exchange gradients.")
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--way", action="append", help="one of the ways; all if none is given")
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank is not None:
        work(options.rank, options.store, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        again = [sys.executable, *sys.argv, "--store", str(Path(folder) / "store"), "--rank"]
        processes = [subprocess.Popen([*again, str(rank)]) for rank in range(options.processes)]
        if sum(process.wait() for process in processes):
            raise SystemExit("a process failed")


if __name__ == "__main__":
    main()
