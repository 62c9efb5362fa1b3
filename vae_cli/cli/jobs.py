"""Several processes that train the runs of one sweep, as if started in several terminals."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from vae_cli import config
from vae_cli.cli.console import Terminal
from vae_cli.cli.signals import StopSignals
from vae_cli.cli.variants import train_all
from vae_cli.errors import VAEError


@contextmanager
def more_jobs(count: int, variants: Sequence[config.Variant]) -> Iterator[None]:
    """Train the same runs in `count` more processes, and wait for them at the end.

    Each process has its share of the processor's cores. If the body raises an exception, the other
    processes save what they have learned and stop.
    """
    if count == 0:
        yield
        return
    import multiprocessing  # takes time that vae --help does not have

    threads = max(1, (os.cpu_count() or 1) // (count + 1))
    spawn = multiprocessing.get_context("spawn")
    jobs = [spawn.Process(target=train_quietly, args=(variants, threads)) for _ in range(count)]
    use_threads(threads)
    for job in jobs:
        job.start()
    try:
        yield
    except BaseException:
        for job in jobs:
            job.terminate()
        raise
    finally:
        for job in jobs:
            job.join()


def train_quietly(variants: Sequence[config.Variant], threads: int) -> None:
    """Train the runs that no other process is training; what fails is reported by the first one."""
    use_threads(threads)
    with StopSignals() as signals, suppress(VAEError):
        train_all(variants, Terminal(quiet=True), signals)


def use_threads(count: int) -> None:
    """Limit the threads of this process."""
    import torch

    torch.set_num_threads(count)
