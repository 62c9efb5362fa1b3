"""Several processes as threads of this one, of which one at a time computes.

Nothing of torch.distributed is in it, so that a test of what processes do together takes no longer
than the work itself. Only one thread runs until it waits for the others, so that nothing that they
share, such as torch's default generator or the filters of warnings, is used by two at once.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, final

import torch
from torch import Tensor

from vae_cli.errors import LostProcessError
from vae_cli.training.world import World

T = TypeVar("T")
SECONDS = 120


class Meeting:
    """Where threads exchange values: each exchange has the values of all, by rank."""

    def __init__(self, size: int) -> None:
        self.size, self.turn = size, threading.Condition()
        self.exchanges: list[dict[int, Any]] = []
        self.is_broken = False

    def exchange(self, number: int, rank: int, value: Any) -> list[Any]:
        """The values of all threads in their exchange with this number."""
        if number == len(self.exchanges):
            self.exchanges.append({})
        values = self.exchanges[number]
        values[rank] = value
        self.turn.notify_all()
        is_met = self.turn.wait_for(lambda: len(values) == self.size or self.is_broken, SECONDS)
        if not is_met or len(values) < self.size:
            raise LostProcessError("another thread has ended, or does not answer")
        return [values[one] for one in range(self.size)]


@final
class Threads:
    """A `World` of threads."""

    def __init__(self, meeting: Meeting, rank: int) -> None:
        self.meeting, self.rank, self.size, self.count = meeting, rank, meeting.size, 0
        self.calls: list[str] = []  # what each exchange was

    def all_of(self, value: Any, call: str = "exchange") -> list[Any]:
        """The values of all threads, by rank."""
        self.calls.append(call)
        self.count += 1
        return self.meeting.exchange(self.count - 1, self.rank, value)

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [self.sum_in_place(tensor.clone()) for tensor in tensors]

    def sum_in_place(self, tensor: Tensor) -> Tensor:
        parts = self.all_of(tensor.clone())
        assert all(part.shape == tensor.shape and part.dtype == tensor.dtype for part in parts)
        return tensor.copy_(torch.stack(parts).sum(0))

    def any(self, flag: bool) -> bool:
        return any(self.all_of(flag))

    def largest(self, number: int) -> int:
        largest: int = max(self.all_of(number))
        return largest

    def share(self, text: str) -> str:
        shared: str = self.all_of(text)[0]
        return shared

    def copy(self, tensors: Sequence[Tensor]) -> None:
        first = self.all_of([tensor.clone() for tensor in tensors])[0]
        for tensor, other in zip(tensors, first, strict=True):
            assert tensor.shape == other.shape
            assert tensor.dtype == other.dtype
            tensor.copy_(other)

    def wait(self, seconds: float) -> None:
        self.all_of(None, "wait")

    def remember(self, text: str) -> None:
        pass

    def recall(self) -> str:
        return ""


def run_together(size: int, work: Callable[[World], T]) -> list[T]:
    """What several threads find that do the same work; the first error of one of them is raised."""
    meeting, found, errors = Meeting(size), dict[int, T](), list[BaseException]()

    def run(rank: int) -> None:
        with meeting.turn:
            try:
                found[rank] = work(Threads(meeting, rank))
            except BaseException as error:  # which the test's own thread raises
                errors.append(error)
                meeting.is_broken = True
            meeting.turn.notify_all()

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [found[rank] for rank in range(size)]
