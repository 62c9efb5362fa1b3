"""Signals during training: the first one asks it to save and stop, a second one ends the process.

During that save, a second one is only answered, because it would lose what is being saved.
These are Ctrl-C, SIGTERM, SIGHUP (the terminal was closed) and SIGXCPU (the time limit is near).

A sweep with several jobs is stopped as a whole. A terminal sends Ctrl-C to all of its processes,
and `kill` sends a signal to one. Either way each process saves once: the first process tells the
others (its followers), and these take a second signal as the same wish.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from vae_cli.errors import NOT_BEGUN, InterruptedRunError

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU")  # Windows has only the first two
CAUGHT = [signal.Signals[name] for name in NAMES if name in signal.Signals.__members__]

GOES_ON = "stopped while a sampler is fitted; the same command goes on"


class Follower(Protocol):
    """Another process that stops when this one does."""

    def stop(self, number: int) -> None:
        """Ask it to save and stop because of this signal."""

    def kill(self) -> None:
        """End it at once, without saving."""


class StopSignals:
    """A context in which a signal is stored and raises nothing; a second one ends the process.

    If the training has taken note of the first one, it is saving: then the second one prints a
    line, and the third one ends the process.

    Args:
        ask_leader: returns the signal because of which the process that this one follows wants it
            to stop, or None. Only that process ends this one at once.
    """

    def __init__(self, ask_leader: Callable[[], int | None] | None = None) -> None:
        self.ask_leader = ask_leader
        self.followers: Sequence[Follower] = ()
        self.received: int | None = None
        self.is_saving = False
        self.was_answered = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self.before = {number: signal.signal(number, self._store) for number in CAUGHT}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_stopped = self.received is not None or error is not None
        for number, handler in self.before.items():
            says_why = self.ask_leader is not None and is_stopped  # and must not be ended before
            signal.signal(number, signal.SIG_IGN if says_why else handler)

    def _store(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
            for follower in self.followers:
                follower.stop(number)
        elif self.ask_leader is None:
            self._answer_another(number)

    def _answer_another(self, number: int) -> None:
        if self.is_saving and not self.was_answered:
            self.was_answered = True
            os.write(2, b"saving what was learned; once more stops at once, without saving\n")
            return
        for follower in self.followers:
            follower.kill()
        os.write(2, b"stopped at once: what was learned since the last save is lost\n")
        os._exit(128 + number)

    def stopped(self) -> int | None:
        """The number of the signal, if there was one; whoever asks saves then."""
        number = self._look()
        self.is_saving = number is not None
        return number

    def _look(self) -> int | None:
        if self.received is None and self.ask_leader is not None:
            self.received = self.ask_leader()
        return self.received

    def raise_during(
        self, progress: Callable[[int, int], None], message: str = NOT_BEGUN
    ) -> Callable[[int, int], None]:
        """The same progress callback, but it raises an error if there was a signal."""

        def checked(done: int, total: int) -> None:
            self.raise_if_stopped(message)
            progress(done, total)

        return checked

    def raise_in(
        self, stage: Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
    ) -> Callable[[str], AbstractContextManager[Callable[[int, int], None]]]:
        """The same stages, such as `Terminal.bar`, of a fit that is kept if a signal stops it."""

        @contextmanager
        def checked(name: str) -> Iterator[Callable[[int, int], None]]:
            with stage(name) as progress:
                yield self.raise_during(progress, GOES_ON)

        return checked

    def raise_if_stopped(self, message: str = NOT_BEGUN) -> None:
        """Stop where nothing is lost, such as before the training has begun.

        Raises:
            InterruptedRunError: there was a signal.
        """
        number = self._look()
        if number is not None:
            raise InterruptedRunError(message, number)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back until the end; processes that start meanwhile begin with them held back."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """Let the signals through that were held back when this process started."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)
