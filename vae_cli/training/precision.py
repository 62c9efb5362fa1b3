"""The number format of the matrix products of a run, and how long a step takes in it.

bfloat16 has the range of float32 and 8 bits of precision; weights, moments, losses and noise stay
in float32. It is faster only if the hardware multiplies it, and even then not for every network, so
it is measured with the network and batch size that will be trained.

A measurement takes as few steps as the answer needs. Three steps of a large network take seconds,
and are enough. A step of a small one takes less time than the noise of the clock, so that many are
measured together.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from vae_cli.data.streamed import AnySplit
from vae_cli.errors import UsageError, mark
from vae_cli.training.epochs import Epoch, TracedEpoch
from vae_cli.training.state import TrainState

SLOW_SECONDS = 0.05  # of one step, from which on single steps are measured
STEPS, TURNS = 10, 5  # of a quick network: steps that are measured together, and turns
SLOW_TURNS = 2
LEARNING_RATE = 1e-4


def time_steps(prepare: Callable[[int], Sequence[Epoch]]) -> list[list[float]]:
    """The seconds of one step of each of some epochs, in turns, after a first step that compiles.

    Args:
        prepare: makes the epochs of at most so many steps.

    Returns:
        One list for each turn, with one time for each epoch.
    """
    single = prepare(1)
    turns = [time_turn(single) for _ in range(2)][1:]
    if max(turns[0]) >= SLOW_SECONDS:
        return turns + [time_turn(single) for _ in range(SLOW_TURNS - 1)]
    several = prepare(STEPS)
    return [time_turn(several) for _ in range(1 + TURNS)][1:]


def time_turn(epochs: Sequence[Epoch]) -> list[float]:
    """The seconds of one step of each epoch, from one pass over each."""
    return [time_epoch(epoch) for epoch in epochs]


def time_epoch(epoch: Epoch) -> float:
    """The seconds of one step, from one pass over the epoch."""
    order, rates = torch.arange(epoch.count), torch.full((epoch.steps,), LEARNING_RATE)
    start = time.perf_counter()
    epoch.run(order, rates, torch.ones_like(rates))
    return (time.perf_counter() - start) / epoch.steps


MAX_TIME_RATIO = 0.85  # of float32's time; anything above may be noise of the measurement
MIN_MEASURED_STEPS = 1000  # in a shorter training, measuring takes more time than it saves

Precision = Literal["float32", "tf32", "bfloat16"]


def choose_precision(
    name: Literal["auto"] | Precision, device: torch.device, bfloat16_is_faster: Callable[[], bool]
) -> Precision:
    """The precision to train in.

    Args:
        name: what was asked for. `auto` is tf32 on a GPU that has it, and bfloat16 on a processor
            that multiplies it in hardware and is faster with it.
        device: the device to train on.
        bfloat16_is_faster: measures; called only if the processor has bfloat16.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        ampere = (8, 0)  # the first GPUs with tf32
        return "tf32" if torch.cuda.get_device_capability(device) >= ampere else "float32"
    if device.type == "cpu" and has_native_bfloat16() and bfloat16_is_faster():
        return "bfloat16"
    return "float32"


def require_supported(name: str, device: torch.device) -> None:
    """Check that the device has a precision.

    Raises:
        UsageError: tf32 is asked for on a device that is not a CUDA GPU.
    """
    if name == "tf32" and device.type != "cuda":
        raise UsageError(
            f"{mark('training.precision=tf32')} is for cuda: on {device.type} use "
            "float32 or bfloat16"
        )


def apply_precision(name: Precision, state: TrainState) -> None:
    """Make the state train in that precision."""
    state.dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
    if name == "tf32":
        torch.set_float32_matmul_precision("high")


def has_native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (AVX-512 or AMX)."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


def bfloat16_is_faster(
    make_state: Callable[[], TrainState], split: AnySplit, batch_size: int
) -> bool:
    """Whether steps in bfloat16 are clearly faster, measured now, alternating with float32.

    Args:
        make_state: makes a new state of the network that will be trained.
        split: the training set.
        batch_size: items per step.
    """
    states = [make_state(), make_state()]
    states[1].dtype = torch.bfloat16

    def prepare(steps: int) -> list[Epoch]:
        some = split.head(steps * batch_size)
        return [TracedEpoch(state, some, batch_size) for state in states]

    ratios = [bfloat16 / float32 for float32, bfloat16 in time_steps(prepare)]
    return statistics.median(ratios) < MAX_TIME_RATIO
