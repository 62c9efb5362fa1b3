"""Runs that are trained one after another, and several processes that train those of one sweep.

The processes work as if they were started in several terminals. The first one tells the others when
to stop, over a pipe. The system closes the pipe if the first one is killed, so none of them goes on
alone.
"""

import os
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from vae_cli.cli._console import Terminal
from vae_cli.cli._errors import explain, show_important_warnings, warnings_shown_once
from vae_cli.cli._signals import StopSignals, held_back, let_through
from vae_cli.cli._tables import format_cell
from vae_cli.errors import InterruptedRunError, VAEError, plural
from vae_cli.locks import try_lock, unlock
from vae_cli.runs.directory import ROOT, Run
from vae_cli.runs.lookup import find_run
from vae_cli.runs.summary import RunSummary, held_out_part, read_state, summarize_run
from vae_cli.settings import Variant, to_toml
from vae_cli.threads import share_cores

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    import torch

    from vae_cli.runs.sweep import Outcome, SharedData


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
    share_cores(count + 1)
    jobs = start_jobs(count, (variants, count + 1, quiet))
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
    variants: Sequence[Variant], parts: int, quiet: bool, receiver: "Connection"
) -> None:
    """Train the runs that no other process is training; what fails is tried by the first one."""
    warnings.showwarning = warnings_shown_once()
    if quiet:
        show_important_warnings()
    with StopSignals(partial(ask_first_process, receiver)) as signals:
        let_through()
        try:
            share_cores(parts)
            train_all(variants, Terminal(quiet=True, lasting=True), signals)
        except VAEError:
            return
        except Exception as error:
            Terminal(lasting=True).advice(f"one of the jobs has ended: {explain(error)[0]}")


ENDINGS = {"finished": "finished before", "running": "left to another process"}


def train_all(
    variants: Sequence[Variant], terminal: Terminal, signals: StopSignals
) -> dict[str, VAEError]:
    """Train runs, and print one line for each; returns what failed, by name.

    Raises:
        InterruptedRunError: there was a signal; the state of the run was saved first.
        UsageError: a run is not possible; nothing was trained.
    """
    from vae_cli.runs.sweep import SharedData

    signals.raise_if_stopped()
    data = SharedData()
    devices = announce(variants, data, terminal, signals)
    width = max(len(variant.name) for variant in variants)
    failures: dict[str, VAEError] = {}
    for number, (variant, device) in enumerate(zip(variants, devices, strict=True), 1):
        place = f"{number:{len(str(len(variants)))}}/{len(variants)}"
        start = time.monotonic()
        try:
            outcome = train_one(
                variant,
                device=device,
                title=f"{place} {variant.name}",
                data=data,
                terminal=terminal,
                signals=signals,
            )
        except InterruptedRunError as error:
            said = f"stopped in run {place.strip()}, {variant.name}; the same command goes on"
            raise InterruptedRunError(said, error.exit_code - 128) from error
        except VAEError as error:
            failures[variant.name] = error
            terminal.advice(f"{place} {variant.name}: {explain(error)[0]}")
            continue
        ending = ENDINGS.get(outcome) or f"{time.monotonic() - start:.1f} s"
        summary = summarize_run(Run(ROOT / variant.name))
        terminal.result(
            f"{place} {variant.name.ljust(width)}  {describe_figures(summary)}  {ending}"
        )
    return failures


def announce(
    variants: Sequence[Variant], data: "SharedData", terminal: Terminal, signals: StopSignals
) -> "list[torch.device]":
    """Check that all runs are possible, and say how many they are; returns their devices.

    Raises:
        InterruptedRunError: there was a signal.
        UsageError: a run is not possible.
    """
    from vae_cli.device import describe_device
    from vae_cli.runs.sweep import require_variants

    with terminal.bar("reading") as bar:
        devices = require_variants(variants, data, signals.raise_during(bar))
    terminal.print_remarks()
    described = dict.fromkeys(map(describe_device, devices))
    terminal.note(f"{plural(len(variants), 'run')} in {ROOT}/, {', '.join(described)}")
    return devices


def train_one(
    variant: Variant,
    *,
    device: "torch.device",
    title: str,
    data: "SharedData",
    terminal: Terminal,
    signals: StopSignals,
) -> "Outcome":
    """Train one run of a sweep, here or in several processes.

    Raises:
        InterruptedRunError: there was a signal; the state was saved first.
        VAEError: the training failed.
    """
    from vae_cli.runs.sweep import train_variant

    if variant.config.training.processes > 1:
        with terminal.spinner(title):
            return train_in_processes(variant, signals)
    with terminal.bar(title) as progress:
        dataset = data.open(variant.config.data)
        return train_variant(variant, dataset, device, progress=progress, stopped=signals.stopped)


def train_in_processes(variant: Variant, signals: StopSignals) -> "Outcome":
    """Train one run of a sweep with the command `vae train` in several processes.

    They divide the cores that this process has, which may be one of several jobs.

    Raises:
        InterruptedRunError: there was a signal; the state was saved first.
        VAEError: the training failed.
    """
    run = Run(ROOT / variant.name)
    with claimed(run) as is_ours:
        if not is_ours:
            return "running"
        state = read_state(run)
        return launch_training(run, variant, signals) if state == "stopped" else state


@contextmanager
def claimed(run: Run) -> Iterator[bool]:
    """A context in which no other job starts processes for a run, unless one did before.

    The processes themselves lock the run, but only some seconds after their start.
    """
    path = run.path.with_name(f".{run.name}.lock")
    try:
        path.parent.mkdir(exist_ok=True)
        handle = try_lock(path)
    except OSError as error:  # if it cannot be written there, the training says so
        yield not isinstance(error, BlockingIOError)
        return
    try:
        yield True
    finally:
        unlock(path, handle)


def launch_training(run: Run, variant: Variant, signals: StopSignals) -> "Outcome":
    """Train a run of a sweep in several processes, from its last save if there is one.

    Raises:
        InterruptedRunError: there was a signal; the state was saved first.
        VAEError: the training failed.
    """
    from vae_cli.cli._launcher import launch
    from vae_cli.runs.sweep import await_other_process, require_finished

    count = variant.config.training.processes
    if run.exists and not run.last.is_file():
        run.discard()  # nothing was learned
    if variant.config.training.start and not run.exists:
        require_finished(find_run(variant.config.training.start))
    with tempfile.TemporaryDirectory(prefix="vae-sweep-") as folder, divided_cores(count):
        config = Path(folder) / "config.toml"
        config.write_text(to_toml(variant.config))
        new = ["--config", str(config), "--name", variant.name]
        old = ["--resume", variant.name, "--processes", str(count)]
        try:
            launch(["train", "--quiet", *(old if run.exists else new)], count, signals)
        except InterruptedRunError:
            raise
        except VAEError:
            if (state := await_other_process(run)) == "stopped":
                raise
            return state
    return "trained"


@contextmanager
def divided_cores(parts: int) -> Iterator[None]:
    """A context in which processes that are started have a part of this one's threads each."""
    import torch

    if "OMP_NUM_THREADS" in os.environ:  # the user has decided it
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // parts))
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


def describe_figures(run: RunSummary) -> str:
    """The figures of the training of a run in one line, such as `kl 8.140  mse 15.540`."""
    prefix = f"{held_out_part(run.metrics)}_"
    trained = {name: value for name, value in run.figures.items() if name not in run.evaluation}
    return "  ".join(f"{name.removeprefix(prefix)} {format_cell(v)}" for name, v in trained.items())
