"""Ctrl-C and SIGTERM while a model learns: the first asks to stop, the second does not ask."""

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from vae_cli.errors import InterruptedRunError

CAUGHT = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Within it, a signal is remembered in place of raising; a second one ends the process."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self.before = {number: signal.signal(number, self._remember) for number in CAUGHT}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            os.write(2, b"stopped at once: what was learned since the last save is lost\n")
            os._exit(128 + number)
        self.received = number

    def stopped(self) -> int | None:
        """The number of the signal that came, if one did."""
        return self.received

    def checking(self, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """The same progress, which stops where a signal came."""

        def checked(done: int, total: int) -> None:
            self.check()
            progress(done, total)

        return checked

    def check(self) -> None:
        """Stop where nothing has begun.

        Raises:
            InterruptedRunError: a signal came.
        """
        if self.received is not None:
            raise InterruptedRunError("stopped before the first step", self.received)
