"""The start of several processes on this machine, which torch's elastic agent watches.

    launcher           one agent; computes nothing, and tells how it ended
      ├─ process 0     speaks, and alone writes files
      ├─ process 1
      └─ ...

Each is a session of its own, so that a signal of the terminal reaches the launcher alone, which
passes it on: all of them save once, together. If one fails, the agent asks the others to end, waits
30 seconds, and kills them. Nothing listens to the network but the loopback address.
"""

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self, final

from torch import distributed
from torch.distributed.elastic.agent.server.api import WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous.api import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousStoreInfo,
)

from vae_cli.cli._processes import FOLDER, LAUNCHER, ROLE
from vae_cli.cli._signals import StopSignals
from vae_cli.errors import InterruptedRunError, LostProcessError, NonFiniteLossError, VAEError
from vae_cli.processes import LOOPBACK

LOOK_SECONDS = 0.1  # between two looks whether the processes work
SIGNAL_CODES = 128  # to which a stopped process adds the number of the signal for its exit code
AGREED = {NonFiniteLossError.__name__}  # the errors that all processes have together


class FailedProcessError(VAEError):
    """One of the processes has failed: its own line, and its own exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@final
class Loopback(RendezvousHandler):
    """Where the processes of a single agent meet: a store that only this machine reaches.

    The rendezvous that torch has let their stores listen to the whole network.

    Args:
        look: called at each look of the agent at its processes.
    """

    use_agent_store = True  # the processes take part in the store of the agent

    def __init__(self, look: Callable[[], None]) -> None:
        self.look, self.name = look, str(uuid.uuid4())
        listening = socket.create_server((LOOPBACK, 0))
        self.port = listening.getsockname()[1]
        self.store = distributed.TCPStore(  # type: ignore[attr-defined]
            LOOPBACK,
            self.port,
            is_master=True,
            wait_for_workers=False,
            master_listen_fd=listening.detach(),
        )

    def get_backend(self) -> str:
        """Its name."""
        return "loopback"

    def next_rendezvous(self) -> RendezvousInfo:
        """The only agent is the first of one."""
        return RendezvousInfo(self.store, 0, 1, RendezvousStoreInfo(LOOPBACK, self.port))

    def is_closed(self) -> bool:
        """Whether no agent may come any more."""
        return False

    def set_closed(self) -> None:
        """Let no agent come any more."""

    def num_nodes_waiting(self) -> int:
        """How many agents have come late. The agent asks at each of its looks."""
        self.look()
        return 0

    def get_run_id(self) -> str:
        """What tells this start from others."""
        return self.name

    def shutdown(self) -> bool:
        """The store closes with its last reference."""
        return True


@final
class Workers:
    """The processes of an agent, as those who follow the signals that this process gets.

    Args:
        agent: that has started them.
        folder: in which they leave their errors.
    """

    def __init__(self, agent: LocalElasticAgent, folder: str) -> None:
        self.agent, self.folder = agent, folder

    def stop(self, number: int) -> None:
        """Nothing yet: they may still be starting. `Launch` passes it on at its next look."""

    def kill(self) -> None:
        """End them at once, without saving; this process ends then as well."""
        self.send(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def send(self, number: int) -> None:
        """Send a signal to each that works, and to its children."""
        for worker in self.agent.get_worker_group().workers:
            with suppress(ProcessLookupError):  # it has ended
                if worker.id is not None:
                    os.killpg(worker.id, number)


@final
class Launch:
    """A command that works in several processes on this machine.

    Args:
        words: of its command line.
        count: the number of processes.
        signals: of this process.
        folder: in which the processes leave their errors.
    """

    def __init__(self, words: Sequence[str], count: int, signals: StopSignals, folder: str) -> None:
        self.signals, self.is_passed_on = signals, False
        spec = WorkerSpec(
            role=ROLE,
            local_world_size=count,
            rdzv_handler=Loopback(self._look),
            entrypoint=sys.executable,
            args=("-m", "vae_cli", *(word.replace("$", "$$") for word in words)),  # no template
            max_restarts=0,
            monitor_interval=LOOK_SECONDS,
        )
        self.agent = LocalElasticAgent(spec, DefaultLogsSpecs(folder))
        self.workers = Workers(self.agent, folder)

    def _look(self) -> None:
        """Pass a signal on, once, when all processes are started.

        They get a SIGTERM, whatever it was, because one that is still starting ends in silence.
        """
        if self.signals.stopped() and not self.is_passed_on:
            self.is_passed_on = True
            self.workers.send(signal.SIGTERM)

    def run(self) -> None:
        """Start the processes, and wait until all of them have ended.

        Raises:
            InterruptedRunError: there was a signal, to this process or to one of them.
            FailedProcessError: one of them has failed.
        """
        others = self.signals.followers
        self.signals.followers = [*others, self.workers]
        try:
            failures = self.agent.run().failures
        except SignalException as error:  # of SIGQUIT, which nothing else here handles
            raise InterruptedRunError("stopped at once", error.sigval) from None
        finally:
            self.signals.followers = others
        if failures:
            raise explain_failures(failures, self.signals.received)


def launch(words: Sequence[str], count: int, signals: StopSignals) -> None:
    """Do the command of these words in several processes on this machine.

    Raises:
        InterruptedRunError: there was a signal, to this process or to one of them.
        FailedProcessError: one of them has failed.
    """
    logging.disable()  # torch's agent would tell in many lines what is told here in one
    with tempfile.TemporaryDirectory(prefix="vae-processes-") as folder:
        os.environ |= environment_of_workers(os.environ, folder)
        Launch(words, count, signals, folder).run()


def environment_of_workers(own: Mapping[str, str], folder: str) -> dict[str, str]:
    """What the processes need so that they run the same code, and only their own output is seen.

    They import from where this process does, also if this is a folder that was found otherwise than
    by an installation, as in `python -m vae_cli` next to the source code.
    """
    return {
        LAUNCHER: str(os.getpid()),
        FOLDER: folder,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TORCH_CPP_LOG_LEVEL": own.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
        "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGQUIT",  # `StopSignals` has the others
    }


def explain_failures(failures: Mapping[int, ProcessFailure], received: int | None) -> Exception:
    """The error of a command whose processes have failed: the cause, and not what it led to.

    Args:
        failures: by rank.
        received: the signal that this process got, if it did.
    """
    ends = [End.read(rank, failure) for rank, failure in failures.items()]
    cause = min(ends, key=End.order)
    if cause.kind == BrokenPipeError.__name__:
        return BrokenPipeError()
    if cause.is_stopped:
        return InterruptedRunError(cause.line or "stopped", received or cause.signal)
    if cause.code > 0:
        line = cause.line or f"process {cause.rank} has ended with exit code {cause.code}"
        return FailedProcessError(line, cause.code)
    remedy = next((f"; {end.remedy}" for end in ends if end.remedy), "")
    return FailedProcessError(f"process {cause.rank} {explain_kill(cause.signal)}{remedy}", 1)


def explain_kill(number: int) -> str:
    """What a signal that nobody can handle says about a process."""
    name = signal.Signals(number).name
    if number == signal.SIGKILL:
        return f"was killed ({name}), perhaps because the memory is full"
    return f"has crashed ({name})"


@final
@dataclass(frozen=True, kw_only=True)
class End:
    """How one of the processes has failed.

    Attributes:
        rank: of the process.
        code: its exit code; if a signal has ended it, the negative number of that.
        time: in seconds.
        line: that a person would read about its error; empty if it has left none.
        kind: of the error, the name of its class.
        remedy: what to do if a process was lost.
    """

    rank: int
    code: int
    time: int
    line: str = ""
    kind: str = ""
    remedy: str = ""

    @classmethod
    def read(cls, rank: int, failure: ProcessFailure) -> Self:
        """What torch's agent knows, and what the process has left in its file."""
        own = cls(rank=rank, code=failure.exitcode, time=failure.timestamp)
        found = failure.error_file_data["message"]
        if not isinstance(found, dict):
            return own
        more = found["extraInfo"]
        own = replace(own, code=found["errorCode"], line=found["message"])  # be it killed since
        return replace(own, kind=more["kind"], remedy=more["remedy"])

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped it."""
        return self.code > SIGNAL_CODES or self.code == -signal.SIGTERM

    @property
    def signal(self) -> int:
        """The number of the signal that has stopped or ended it."""
        return -self.code if self.code < 0 else self.code - SIGNAL_CODES

    def order(self) -> tuple[int, int, int]:
        """Causes before what they lead to, the first one first.

        The agent asks the others to end, and kills those that do not. An error on which all agree
        is best explained by process 0, although it may be the last, because it saves.
        """
        if self.code == -signal.SIGTERM:
            return 3, 0, self.rank
        if self.kind == LostProcessError.__name__:
            return 2, 0, self.rank
        if self.is_stopped:
            return 1, 0, self.rank
        return 0, 0 if self.kind in AGREED else self.time, self.rank
