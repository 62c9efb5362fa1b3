"""A command that several processes do together: how it is started again, and which of them speaks.

`vae train --processes 4` ends here, and `main` starts the same command line in four processes with
torch's elastic agent (`_launcher.py`). A process that a launcher has started, be it that one, an
outer `torchrun` or Slurm's `srun`, joins the others instead:

    want_processes(count)  # when all typos are answered, and before torch is imported
    with together(device) as (device, world):
        ...  # rank 0 alone writes files; what the others print is lost

Only process 0 speaks. What the others would print, warnings included, they print nowhere: all do
the same, so it has said it already. An error that ends one of them is told by the launcher.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from vae_cli.cli._errors import explain
from vae_cli.cli._signals import StopSignals
from vae_cli.errors import (
    InterruptedRunError,
    LostProcessError,
    NonFiniteLossError,
    UsageError,
)
from vae_cli.processes import Place, read_place

if TYPE_CHECKING:
    import torch

    from vae_cli.training import World

ROLE = "vae"  # by which torch's agent names the processes that `vae` itself has started
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # in which a process leaves its error for torch's agent
AGREED = (InterruptedRunError, NonFiniteLossError, LostProcessError, KeyboardInterrupt)  # as all
LAUNCHER = "VAE_LAUNCHER"  # the id of the process that has started this one, if that was `vae`
FOLDER = "VAE_LAUNCHER_FOLDER"  # in which it keeps the files of the errors
GRACE_SECONDS = 30  # from a SIGTERM to a SIGKILL, as torch's agent has it
LOOK_SECONDS = 0.5  # between two looks whether the launcher is still there


@final
class ProcessesWantedError(Exception):
    """This command is to be started again, in several processes; `main` does that."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def want_processes(count: int) -> None:
    """Go on in this process if it works alone, or is one of several; else let `main` start them.

    Raises:
        ProcessesWantedError: there are to be several, and no launcher has started this one.
    """
    if count > 1 and read_place() is None:
        raise ProcessesWantedError(count)


@contextmanager
def together(device: str) -> "Iterator[tuple[torch.device, World]]":
    """The device of this process, and the processes that work together as long as the body runs.

    Raises:
        UsageError: torch cannot use the device, or there are fewer GPUs than processes.
        LostProcessError: the others are not met in time, or one of them ends before the others.
    """
    from vae_cli.device import resolve_device
    from vae_cli.training import join

    place = read_place()
    own = resolve_device(device, place)
    with join(place) as world:
        yield own, world


def stop_signals() -> StopSignals:
    """The signals of a command that saves when it is stopped.

    A process that a launcher has started takes a second signal as the same wish: the launcher ends
    it at once, if it must.
    """
    return StopSignals(None if read_place() is None else lambda: None)


def find_place() -> Place | None:
    """The place of this process, for what is no business of a command: who speaks."""
    with suppress(UsageError):  # the command says it, if it needs to know
        return read_place()
    return None


@contextmanager
def silent(place: Place | None, *, debug: bool) -> Iterator[None]:
    """A context in which only process 0 can print; with `debug`, the others can to stderr.

    This holds for everything, be it printed by torch, by one of its libraries, or in a thread.
    """
    if place is None or place.rank == 0:
        yield
        return
    streams = (1,) if debug else (1, 2)
    before = [os.dup(stream) for stream in streams]
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in streams:
            os.dup2(null, stream)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, own in zip(streams, before, strict=True):
            os.dup2(own, stream)


def follow_launcher() -> None:
    """Get a SIGTERM if the launcher ends, so that no process goes on as an orphan.

    As the launcher does, this kills the process if it takes no notice in half a minute: one that
    still looks for the others would do so for two. It also removes the folder of the launcher.
    """
    launcher = int(os.environ.get(LAUNCHER, os.getppid()))  # which may have ended already

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(LOOK_SECONDS)
        if folder := os.environ.get(FOLDER):
            shutil.rmtree(folder, ignore_errors=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def recorded(work: Callable[[], Any]) -> Callable[[], Any]:
    """The same work, whose error is also left for torch's agent if that has started this process.

    Its own `record` does this; the text of an error is the line that a person would read.
    """
    if not os.environ.get(ERROR_FILE):
        return work
    from torch.distributed.elastic.multiprocessing.errors import ErrorHandler, record

    class LineRecorder(ErrorHandler):
        def initialize(self) -> None:
            """Python's fault handler would print more than a line."""

        def record_exception(self, e: BaseException) -> None:
            write_error(e)

    return record(work, LineRecorder())


def write_error(error: BaseException) -> None:
    """Leave an error where torch's agent, and the banner of `torchrun`, look for it."""
    line, code = explain(error)
    more = {
        "py_callstack": line,  # which the banner shows
        "timestamp": str(int(time.time())),
        "kind": type(error).__name__,
        "remedy": error.remedy if isinstance(error, LostProcessError) else "",
    }
    text = json.dumps({"message": {"message": line, "errorCode": code, "extraInfo": more}})
    with suppress(FileNotFoundError):  # the launcher has ended, and its folder was removed
        Path(os.environ[ERROR_FILE]).write_text(text)


def must_tell(error: BaseException, place: Place | None) -> bool:
    """Whether this process prints its error itself, because its launcher will not."""
    if place is None:
        return True
    if os.environ.get("ROLE_NAME") == ROLE:
        return os.getppid() != int(os.environ[LAUNCHER]) and place.rank == 0  # it has ended
    if os.environ.get(ERROR_FILE):  # torchrun shows it, unless it was stopped itself
        return place.rank == 0 and isinstance(error, InterruptedRunError | KeyboardInterrupt)
    return place.rank == 0 or not isinstance(error, AGREED)
