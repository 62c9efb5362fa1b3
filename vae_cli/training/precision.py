"""Which number format the matrix products of a run use.

bfloat16 has float32's range and 8 bits of precision; weights, moments, losses and the noise stay in
float32. It wins only where the hardware multiplies it, and even there not for every network, so it
is tried on the very network and batch that will be trained.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from vae_cli.data import Split
from vae_cli.errors import UsageError
from vae_cli.objectives import Objective
from vae_cli.training.epoch import HostEpoch
from vae_cli.training.state import TrainState

WORTH_IT = 0.85  # of float32's time: below that a switch is no accident of the measurement
TURNS, STEPS = 5, 10


def choose(name: str, device: torch.device, bfloat16_wins: Callable[[], bool]) -> str:
    """The precision to train in: float32, tf32 or bfloat16.

    Args:
        name: what was asked for; `auto` is tf32 on a GPU that has it, and on a processor bfloat16
            where it is both native and faster.
        device: where the model learns.
        bfloat16_wins: measures; called only where the processor has bfloat16.

    Raises:
        UsageError: the device does not have what is asked for.
    """
    check(name, device)
    if name != "auto":
        return name
    if device.type == "cuda":
        ampere = (8, 0)  # the first GPUs with tf32
        return "tf32" if torch.cuda.get_device_capability(device) >= ampere else "float32"
    if device.type == "cpu" and native_bfloat16() and bfloat16_wins():
        return "bfloat16"
    return "float32"


def check(name: str, device: torch.device) -> None:
    """Refuse a precision that the device does not have.

    Raises:
        UsageError: tf32 is asked for on a device that is no CUDA GPU.
    """
    if name == "tf32" and device.type != "cuda":
        raise UsageError(f"--precision tf32 is for cuda: on {device.type} use float32 or bfloat16")


def apply(name: str, state: TrainState) -> None:
    """Make the state learn in that precision."""
    state.dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
    if name == "tf32":
        torch.set_float32_matmul_precision("high")


def native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (AVX-512 or AMX)."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def bfloat16_wins(
    fresh: Callable[[], TrainState], objective: Objective, split: Split, batch_size: int
) -> bool:
    """Whether steps in bfloat16 take clearly less time, measured in turns on this machine, now.

    Args:
        fresh: makes a new state of the network that will be trained.
        objective: what is minimised.
        split: what will be learned from.
        batch_size: items a step.
    """
    some = split.head(STEPS * batch_size)
    order = torch.arange(len(some))
    rates = torch.full((-(-len(some) // batch_size),), 1e-4)
    epochs = []
    for dtype in (torch.float32, torch.bfloat16):
        state = fresh()
        state.dtype = dtype
        epochs.append(HostEpoch(state, objective, some, batch_size))
    ratios = []
    for _ in range(TURNS + 1):
        seconds = [_seconds(epoch, order, rates) for epoch in epochs]
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios[1:]) < WORTH_IT


def _seconds(epoch: HostEpoch, order: Tensor, rates: Tensor) -> float:
    start = time.perf_counter()
    epoch.run(order, rates)
    return time.perf_counter() - start
