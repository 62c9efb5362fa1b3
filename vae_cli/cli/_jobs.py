"""Several processes that train the runs of one sweep, as if started in several terminals.

The first process tells the others when to stop, over a pipe. The system closes the pipe if the
first process is killed, so none of them goes on alone.
"""

import os
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, final

from vae_cli.cli._console import Terminal, warnings_shown_once
from vae_cli.cli._errors import explain
from vae_cli.cli._signals import StopSignals, held_back, let_through
from vae_cli.cli._variants import train_all
from vae_cli.errors import VAEError
from vae_cli.settings import Variant

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess


@contextmanager
def more_jobs(
    count: int, variants: Sequence[Variant], signals: StopSignals, *, quiet: bool
) -> Iterator[None]:
    """Train the same runs in `count` more processes, and wait for them at the end.

    Each process has its share of the processor's cores. If there is a signal, or if the body raises
    an exception, the other processes save what they have learned and stop.
    """
    if count == 0:
        yield
        return
    threads = max(1, (os.cpu_count() or 1) // (count + 1))
    use_threads(threads)
    jobs = start_jobs(count, (variants, threads, quiet))
    signals.followers = jobs
    try:
        yield
    except BaseException:
        for job in jobs:
            job.stop(signals.received or signal.SIGTERM)
        raise
    finally:
        for job in jobs:
            job.process.join()
        signals.followers = ()


def start_jobs(count: int, work: tuple[Any, ...]) -> "list[Job]":
    """Start processes that hold signals back until they can save; `work` is for `train_quietly`."""
    import multiprocessing  # takes time that vae --help does not have
    from multiprocessing import resource_tracker

    spawn = multiprocessing.get_context("spawn")
    resource_tracker.ensure_running()  # its start would let signals through again
    jobs = []
    with held_back():
        for _ in range(count):
            receiver, sender = spawn.Pipe(duplex=False)
            process = spawn.Process(target=train_quietly, args=(*work, receiver))
            process.start()
            receiver.close()
            jobs.append(Job(process, sender))
    return jobs


@final
class Job:
    """Another process of a sweep, as the first one sees it."""

    def __init__(self, process: "BaseProcess", sender: "Connection") -> None:
        self.process, self.sender = process, sender

    def stop(self, number: int) -> None:
        """Ask it to save and stop because of this signal."""
        with suppress(OSError):  # it has ended already
            self.sender.send(number)

    def kill(self) -> None:
        """End it at once, without saving."""
        self.process.kill()


def ask_first_process(receiver: "Connection") -> int | None:
    """The signal because of which the first process wants this one to stop; None to go on."""
    try:
        return receiver.recv() if receiver.poll() else None
    except (EOFError, OSError):  # it was killed
        return signal.SIGTERM


def train_quietly(
    variants: Sequence[Variant], threads: int, quiet: bool, receiver: "Connection"
) -> None:
    """Train the runs that no other process is training; what fails is tried by the first one."""
    warnings.showwarning = warnings_shown_once()
    if quiet:
        warnings.simplefilter("ignore")
    with StopSignals(partial(ask_first_process, receiver)) as signals:
        let_through()
        try:
            use_threads(threads)
            train_all(variants, Terminal(quiet=True, lasting=True), signals)
        except VAEError:
            return
        except Exception as error:
            Terminal(lasting=True).advice(f"one of the jobs has ended: {explain(error)[0]}")


def use_threads(count: int) -> None:
    """Limit the threads of this process."""
    import torch

    torch.set_num_threads(count)
