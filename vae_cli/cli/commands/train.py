"""`vae train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import add_start
from vae_cli.cli._options import TrainingTerminal, refuse_unused
from vae_cli.cli._processes import stop_signals, want_processes
from vae_cli.cli._settings import SettingsGroup, with_settings
from vae_cli.cli._signals import StopSignals
from vae_cli.cli._training import TrainingView, show_estimate
from vae_cli.data.source import find_source, is_data
from vae_cli.errors import UsageError
from vae_cli.processes import read_place
from vae_cli.runs.directory import ROOT, Run, require_free_name
from vae_cli.runs.lookup import all_folders, find_run, find_stopped
from vae_cli.runs.summary import read_settings
from vae_cli.settings import Layer, merge

if TYPE_CHECKING:
    from vae_cli.runs.resolve import Resolved
    from vae_cli.runs.start import Layers
    from vae_cli.runs.together import Shared
    from vae_cli.training import World


@with_settings()
def command(
    *,
    typed: dict[str, dict[str, Any]],
    run_name: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="Run to resume, with --resume. [default: the last stopped run]"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was stopped.")
    ] = False,
    files: SettingsGroup,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the run. [default: from data, network and time]"),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what the training needs, measured, without making a run."
        ),
    ] = False,
    terminal: TrainingTerminal,
) -> None:
    """Train a variational autoencoder; all results are written to runs/NAME/.

    Example: `vae train --epochs 20 --device cuda`
    """
    if run_name and not resume:
        raise UsageError(suggest_use(run_name))
    refuse_unused("--name", bool(name) and resume, "leave out --resume")
    refuse_unused("--dry-run", dry_run and resume, "leave out --resume")
    is_alone = read_place() is None
    if name is not None and is_alone:
        require_free_name(name)
    layers = files.read_layers(typed)
    settings = merge(*layers)
    find_source(settings.data.name, "data.name")  # a typo is answered before torch is imported
    if settings.training.start and not resume and is_alone:
        find_run(settings.training.start)
    if dry_run:
        start = settings.training.start
        show_estimate(merge(*add_start(layers, start)) if start else settings, terminal)
        return
    if is_alone:
        own = [trained_layer(find_stopped(run_name))] if resume else []
        want_processes(merge(*own, *layers).training.processes)
    with stop_signals() as signals:
        train(layers, resume=resume, name=run_name or name, terminal=terminal, signals=signals)


def trained_layer(run: Run) -> Layer:
    """As many processes resume a run as have trained it, unless another number is typed."""
    processes = read_settings(run).get("training.processes", 1)  # the file may be torn
    return run.name, {"training": {"processes": processes}}


def suggest_use(word: str) -> str:
    """What was perhaps meant by a word without an option.

    Raises:
        UsageError: it names neither data nor a run; the message has the nearest name of data.
    """
    begun = any(run.name.startswith(word) for run in all_folders(ROOT))
    if Run(Path(word)).exists or (begun and not is_data(word)):
        return f"{word}: did you mean --resume {word}?"
    find_source(word, "data.name")
    return f"{word}: did you mean --data {word}?"


def train(
    layers: "Layers", *, resume: bool, name: str | None, terminal: Terminal, signals: StopSignals
) -> None:
    """Train a new run, or resume one, and show the progress; `name` is what was typed for it."""
    from vae_cli.runs.begin import Wanted, begin, make_run
    from vae_cli.runs.together import share_settings
    from vae_cli.runs.train import follow_run, train_run
    from vae_cli.training import join

    signals.raise_if_stopped()  # the imports may swallow a KeyboardInterrupt
    with join(read_place()) as world:
        wanted = Wanted(layers=layers, resume=resume, name=name)
        begun = begin(wanted, world) if world.rank == 0 else None
        shared = share_settings(begun, world)
        if shared is None:
            if begun and begun.run:
                nothing = "" if name else "no run was stopped; "
                finished = f"{nothing}run {begun.run.name} is finished"
                terminal.result(f"{finished}: raise --epochs to go on")
            return
        resolved = resolve_together(shared, world, terminal, signals)
        if begun is None:
            follow_run(resolved, world, stopped=signals.stopped)
            return
        run = make_run(begun, resolved.config, name, world)
        with TrainingView(terminal, run, resolved) as view:
            trained = train_run(
                run,
                resolved,
                saved=begun.saved,
                report=view.report,
                progress=view.progress,
                stopped=signals.stopped,
                world=world,
            )
    view.summarize(*trained)
    if terminal.wants_json:
        terminal.json({"run": str(trained.run.path), "epochs": trained.rows})


def resolve_together(
    shared: "Shared", world: "World", terminal: Terminal, signals: StopSignals
) -> "Resolved":
    """Open the data, which one process on each machine reads, and check that all have the same.

    Raises:
        UsageError: they are not, or the settings do not fit them or the device.
        InterruptedRunError: one of the processes got a signal.
        VAEError: a download fails, or the cache cannot be written.
    """
    from vae_cli.device import resolve_device
    from vae_cli.runs.resolve import resolve
    from vae_cli.runs.together import require_equal_data, require_no_signal
    from vae_cli.training.world import LONE_SECONDS

    device = resolve_device(shared.config.training.device, read_place())
    with terminal.bar("reading") as bar:
        watched = signals.raise_during(bar)
        resolved = resolve(shared.config, device, watched, like=shared.like, world=world)
        world.wait(LONE_SECONDS)
    require_no_signal(signals.stopped, world)
    require_equal_data(resolved, world)
    return resolved
