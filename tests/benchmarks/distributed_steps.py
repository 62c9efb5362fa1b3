"""What each of several processes measures for `distributed.py`, which starts it.

    torchrun --nproc-per-node 2 tests/benchmarks/distributed_steps.py steps 128 5 mlp=20
    torchrun --nproc-per-node 2 tests/benchmarks/distributed_steps.py sums 4096 65536

`steps BATCH TURNS NAME=STEPS ...` takes turns of

    step       an epoch of `vae`, whose batches the processes share
    compute    an epoch of each for itself, with batches that are as large as its share
    exchange   the sum of as many bytes over all processes, and nothing else

and `sums BYTES ...` the last of them for several sizes. Process 0 prints what it found as JSON: the
seconds of a step, which are those of the slowest process, and the processor seconds of all.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from vae_cli.device import resolve_device
from vae_cli.processes import read_place
from vae_cli.runs.resolve import resolve
from vae_cli.settings import merge
from vae_cli.training import World, join, prepare_epoch

CPU = torch.device("cpu")
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"network": "mlp"},
    "mlp 4096": {"network": "mlp", "hidden": (4096,)},
    "conv small": {"network": "conv", "preset": "small"},
    "conv base": {"network": "conv", "preset": "base"},
}
DEVICES = Path("/proc/net/dev")


def measure_steps(name: str, *, batch: int, steps: int, turns: int, world: World) -> dict[str, Any]:
    """Take turns with a model; the first one is not counted."""
    tables = {
        "data": {"name": "fashion-mnist"},
        "model": MODELS[name],
        "training": {"precision": "float32"},
    }
    resolved = resolve(merge(("", tables)), CPU)
    own, values = batch // world.size, resolved.model_size().parameters
    many, few = (resolved.train.head(steps * size) for size in (batch, own))
    together = prepare_epoch(resolved.initial_state(), many, batch, world=world)
    alone = prepare_epoch(resolved.initial_state(), few, own)
    gradients, rates, warmups = torch.zeros(values), torch.full((steps,), 1e-4), torch.ones(steps)
    kinds: dict[str, Callable[[], object]] = {
        "step": lambda: together.run(torch.randperm(steps * batch), rates, warmups),
        "compute": lambda: alone.run(torch.randperm(steps * own), rates, warmups),
        "exchange": lambda: add_up(gradients, steps, world),
    }
    found: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    for turn in range(turns + 1):
        for kind, do in kinds.items():
            cost = measure(do, world)
            if turn:
                found[kind].append([value / steps for value in cost])
    return {"parameter_bytes": 4 * values, **found}


def measure_sums(sizes: list[int], world: World) -> dict[int, float]:
    """The median seconds of a sum over all processes, for each number of bytes."""
    found = {}
    for size in sizes:
        once = partial(add_up, torch.zeros(size // 4), 1, world)
        found[size] = statistics.median(measure(once, world)[0] for _ in range(30))
    return found


def add_up(values: torch.Tensor, times: int, world: World) -> None:
    """The sum of the values of all processes, several times; nothing for a single process."""
    for _ in range(times if world.size > 1 else 0):
        distributed.all_reduce(values)


def measure(do: Callable[[], object], world: World) -> tuple[float, float, float]:
    """The seconds of the slowest process, the processor seconds of all, and the bytes sent.

    The bytes are those of all processes in this network namespace, and of others if there are any.
    """
    world.any(False)  # all begin together
    sent, busy, start = bytes_sent(), processor_seconds(), time.perf_counter()
    do()
    seconds, busy = time.perf_counter() - start, processor_seconds() - busy
    sent = bytes_sent() - sent
    slowest = world.largest(round(1e9 * seconds)) / 1e9
    (all_busy,) = world.sum([torch.tensor([busy], dtype=torch.float64)])
    return slowest, all_busy.item(), sent


def processor_seconds() -> float:
    """Of this process and its threads so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def bytes_sent() -> int:
    """By all interfaces of this network namespace so far."""
    return sum(int(line.split(":")[1].split()[8]) for line in DEVICES.read_text().splitlines()[2:])


def main(kind: str, *words: str) -> None:
    """Measure, and print."""
    resolve_device("cpu", read_place())  # divides the cores, as `vae` does
    with join(read_place()) as world:
        if kind == "sums":
            found: dict[Any, Any] = measure_sums([int(word) for word in words], world)
        else:
            batch, turns, *models = words
            found = {
                name: measure_steps(
                    name, batch=int(batch), steps=int(steps), turns=int(turns), world=world
                )
                for name, steps in (model.split("=") for model in models)
            }
        if world.rank == 0:
            sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
