"""How often a run is saved."""

import math
import re
from dataclasses import dataclass
from typing import final

_PATTERN = re.compile(r"0*([1-9]\d{0,6})([sm]?)", re.ASCII)


@final
@dataclass(frozen=True)
class SaveInterval:
    """The time between two saves: a number of epochs, or a number of seconds."""

    epochs: float = math.inf
    seconds: float = math.inf


def is_save_interval(text: str) -> bool:
    """Whether `parse_save_interval` accepts a text."""
    return _PATTERN.fullmatch(text) is not None


def parse_save_interval(text: str) -> SaveInterval:
    """`5` is five epochs, `30s` thirty seconds, `10m` ten minutes."""
    match = _PATTERN.fullmatch(text)
    assert match  # the schema accepts nothing else
    number, unit = int(match[1]), match[2]
    if not unit:
        return SaveInterval(epochs=number)
    return SaveInterval(seconds=number * (60 if unit == "m" else 1))
