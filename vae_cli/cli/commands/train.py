"""`vae train`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import add_start
from vae_cli.cli._options import TrainingTerminal, refuse_unused
from vae_cli.cli._processes import stop_signals, together, want_processes
from vae_cli.cli._settings import SettingsGroup, with_settings
from vae_cli.cli._signals import StopSignals
from vae_cli.cli._training import TrainingView, show_estimate
from vae_cli.data.source import find_source, is_data
from vae_cli.errors import UsageError
from vae_cli.runs.directory import ROOT, Run, require_free_name
from vae_cli.runs.lookup import all_folders, find_stopped
from vae_cli.runs.summary import read_settings
from vae_cli.settings import Config, Layer, merge

if TYPE_CHECKING:
    from vae_cli.runs.start import Layers, SavedState


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
    if name is not None:
        require_free_name(name)
    layers = files.read_layers(typed)
    settings = merge(*layers)
    find_source(settings.data.name, "data.name")  # a typo is answered before torch is imported
    if settings.training.start and not resume:
        settings = merge(*add_start(layers, settings.training.start))
    if dry_run:
        show_estimate(settings, terminal)
        return
    if resume:
        layers = [trained_layer(find_stopped(run_name)), *layers]
    want_processes(merge(*layers).training.processes)
    with stop_signals() as signals:
        run, saved = None, None
        if resume:
            run, saved, settings = open_stopped(run_name, layers, signals)
        train(run, saved, settings, run_name or name, terminal, signals)


def trained_layer(run: Run) -> Layer:
    """As many processes resume a run as have trained it, unless another number is typed."""
    processes = read_settings(run).get("training.processes", 1)  # the file may be torn
    return run.name, {"training": {"processes": processes}}


def open_stopped(
    name: str | None, layers: "Layers", signals: StopSignals
) -> "tuple[Run, SavedState, Config]":
    """A run that was stopped, its last state, and its settings.

    Raises:
        UsageError: a setting that may not change was typed.
        InterruptedRunError: there was a signal.
        VAEError: its checkpoint is missing or damaged.
    """
    from vae_cli.runs.start import load_for_resume  # may swallow a KeyboardInterrupt

    signals.raise_if_stopped()
    run = find_stopped(name)
    return run, *load_for_resume(run, layers)


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


def with_processes(settings: Config, count: int) -> Config:
    """The settings of a training by so many processes, whoever has started them."""
    training = dataclasses.replace(settings.training, processes=count)
    return dataclasses.replace(settings, training=training)


def train(
    run: "Run | None",
    saved: "SavedState | None",
    settings: Config,
    name: str | None,
    terminal: Terminal,
    signals: StopSignals,
) -> None:
    """Train a new run, or resume one, and show the progress; `name` is what was typed for it."""
    if run and saved and run.finished and saved.facts.epoch >= settings.training.epochs:
        nothing = "" if name else "no run was stopped; "
        terminal.result(f"{nothing}run {run.name} is finished: raise --epochs to go on")
        return
    from vae_cli.runs.directory import create_run
    from vae_cli.runs.resolve import resolve
    from vae_cli.runs.train import follow_run, train_run

    with together(settings.training.device) as (device, world):
        settings = with_processes(settings, world.size)
        with terminal.bar("reading") as bar:
            like = saved.facts.data if saved else None
            resolved = resolve(settings, device, signals.raise_during(bar), like=like)
        signals.raise_if_stopped()
        if world.rank > 0:
            follow_run(resolved, world, stopped=signals.stopped)
            return
        run = run or create_run(resolved.config, name)
        with TrainingView(terminal, run, resolved) as view:
            finished = train_run(
                run,
                resolved,
                saved=saved,
                report=view.report,
                progress=view.progress,
                stopped=signals.stopped,
                world=world,
            )
        view.summarize(*finished)
    if terminal.wants_json:
        terminal.json({"run": str(finished.run.path), "epochs": finished.rows})
