"""Signals during training: the first one asks it to save and stop, a second one ends the process.

During that save, a second one is only answered, because it would lose what is being saved.
These are Ctrl-C, SIGTERM, SIGHUP (the terminal was closed) and SIGXCPU (the time limit is near).
"""

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from vae_cli.errors import InterruptedRunError

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU")  # Windows has only the first two
CAUGHT = [signal.Signals[name] for name in NAMES if name in signal.Signals.__members__]


class StopSignals:
    """A context in which a signal is stored and raises nothing; a second one ends the process.

    If the training has taken note of the first one, it is saving: then the second one prints a
    line, and the third one ends the process.
    """

    def __init__(self) -> None:
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
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _store(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = number
            return
        if self.is_saving and not self.was_answered:
            self.was_answered = True
            os.write(2, b"saving what was learned; once more stops at once, without saving\n")
            return
        os.write(2, b"stopped at once: what was learned since the last save is lost\n")
        os._exit(128 + number)

    def stopped(self) -> int | None:
        """The number of the signal, if there was one; whoever asks saves then."""
        self.is_saving = self.received is not None
        return self.received

    def raising(self, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """The same progress callback, but it raises an error if there was a signal."""

        def raising_progress(done: int, total: int) -> None:
            self.raise_if_stopped()
            progress(done, total)

        return raising_progress

    def raise_if_stopped(self) -> None:
        """Stop before the training has begun.

        Raises:
            InterruptedRunError: there was a signal.
        """
        if self.received is not None:
            raise InterruptedRunError("stopped before the first step", self.received)
