"""Schedules: the learning rate as a pure function of the step."""

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


def _rise(step: int, total_steps: int, warmup: float) -> float:
    return min(1.0, (step + 1) / max(1.0, warmup * total_steps))
