"""Rejection sampling: items are drawn until so many of them meet a condition as are wanted.

The accepted items are samples from the distribution given that the condition holds, whatever the
model is, because each is accepted by its own values (von Neumann, 1951, "Various techniques used in
connection with random digits").
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

MIN_DRAWS, MAX_DRAWS = 256, 1 << 16  # at a time


class Accepted(NamedTuple):
    """What rejection sampling found.

    Attributes:
        items: `(N, ...)`, at most as many as were wanted.
        accepted: how many of the draws were accepted.
        draws: the number of all draws.
    """

    items: Tensor
    accepted: int
    draws: int

    @property
    def rate(self) -> float:
        """The share of the draws that were accepted."""
        return self.accepted / self.draws


def sample_accepted(
    draw: Callable[[int], Tensor],
    accept: Callable[[Tensor], Tensor],
    count: int,
    *,
    limit: int,
    progress: Callable[[int, int], None],
) -> Accepted:
    """Draw items until `count` of them are accepted, or until there were `limit` draws.

    Args:
        draw: draws so many items `(N, ...)`.
        accept: which items are accepted, bool `(N,)`.
        count: the number of items that are wanted.
        limit: the largest number of draws.
        progress: called with the number of items so far, and `count`.

    Example:
        >>> uniform = torch.Generator().manual_seed(0)
        >>> found = sample_accepted(
        ...     lambda count: torch.rand(count, generator=uniform),
        ...     lambda items: items > 0.9,
        ...     100,
        ...     limit=10_000,
        ...     progress=lambda done, total: None,
        ... )
        >>> len(found.items), bool(found.items.min() > 0.9), round(found.rate, 1)
        (100, True, 0.1)
    """
    parts: list[Tensor] = []
    accepted = draws = 0
    while accepted < count and draws < limit:
        rate = (accepted + 1) / (draws + 1)  # 1 at first, and never 0
        size = min(max(int((count - accepted) / rate), MIN_DRAWS), MAX_DRAWS, limit - draws)
        items = draw(size)
        parts.append(items[accept(items)])
        accepted, draws = accepted + len(parts[-1]), draws + size
        progress(min(accepted, count), count)
    return Accepted(torch.cat(parts)[:count], accepted, draws)
