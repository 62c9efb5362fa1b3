"""Schedules: the learning rate and the warm-up of the objective, as pure functions of the step."""

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(peak: float, total_steps: int, warmup: float = 0.0) -> Schedule:
    """A learning rate that rises during the first part `warmup` of all steps and then stays."""
    return lambda step: peak * _rise(step, total_steps, warmup)


def cosine(peak: float, total_steps: int, warmup: float = 0.0) -> Schedule:
    """The same rise, times half a cosine from `peak` to 0 (Loshchilov & Hutter, 2017)."""

    def learning_rate(step: int) -> float:
        fall = 0.5 * (1 + math.cos(math.pi * step / total_steps))
        return peak * fall * _rise(step, total_steps, warmup)

    return learning_rate


def warmup_share(total_steps: int, min_steps: int) -> float:
    """The default for `warmup`: 5 % of all steps, but at least so many steps, and at most half.

    The first steps of Adam are as large as the learning rate allows, whatever the gradients are. In
    a short training, 5 % are too few to keep them from ruining a convolutional network.
    """
    return max(0.05, min(0.5, min_steps / total_steps))


def _rise(step: int, total_steps: int, warmup: float) -> float:
    return min(1.0, (step + 1) / max(1.0, warmup * total_steps))


def linear_warmup(steps: int, cycles: int = 1) -> Schedule:
    """From 0 to 1 over so many steps, and then 1 (Bowman et al., 2016).

    With several cycles, it starts again from 0 after as many steps at 1, until the last cycle (Fu
    et al., 2019, with half of each cycle rising).
    """

    def warmup(step: int) -> float:
        if step >= (2 * cycles - 1) * steps:
            return 1.0
        return min(1.0, step % (2 * steps) / steps)

    return warmup


def no_warmup(step: int) -> float:  # noqa: ARG001
    """Always 1."""
    return 1.0
