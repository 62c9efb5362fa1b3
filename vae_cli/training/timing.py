"""How long a training step takes, measured with as few steps as the answer needs.

Three steps of a large network take seconds, and are enough. A step of a small one takes less time
than the noise of the clock, so that many are measured together.
"""

import time
from collections.abc import Callable, Sequence

import torch

from vae_cli.data.batches import steps_per_epoch
from vae_cli.training.epoch import Epoch

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
    items, steps = len(epoch.split), steps_per_epoch(len(epoch.split), epoch.batch_size)
    order = torch.arange(items, device=epoch.split.items.device)
    rates = torch.full((steps,), LEARNING_RATE)
    start = time.perf_counter()
    epoch.run(order, rates, torch.ones_like(rates))
    return (time.perf_counter() - start) / steps
