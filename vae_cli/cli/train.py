"""`vae train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vae_cli import config
from vae_cli.cli.console import Terminal
from vae_cli.cli.options import Json, Quiet, check_idle, with_settings
from vae_cli.cli.signals import StopSignals
from vae_cli.cli.training_view import TrainingView

if TYPE_CHECKING:
    from vae_cli.checkpoint import Checkpoint
    from vae_cli.experiment import Prepared
    from vae_cli.keeper import Row
    from vae_cli.runs import Run


@with_settings()
def command(
    typed: dict[str, dict[str, Any]],
    run_name: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="With --resume: which run. [default: the last stopped]"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    config_file: Annotated[
        Path | None, typer.Option("--config", help="TOML file of settings; flags go over it.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any setting; repeatable."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the run. [default: from data, model and time]"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a variational autoencoder; everything it leaves is in runs/NAME/.

    Example: `vae train --epochs 20 --device cuda`
    """
    check_idle(f"RUN {run_name}", bool(run_name) and not resume, "add --resume")
    check_idle("--name", bool(name) and resume, "leave out --resume")
    layers = [(str(config_file), config.read(config_file))] if config_file else []
    layers += [(f"--set {text}", config.assignment(text)) for text in assignments or []]
    layers.append(("command line", typed))
    settings = config.resolve(*layers)
    terminal = Terminal(quiet=quiet or json)
    with StopSignals() as signals:
        from vae_cli import runs  # some modules swallow a KeyboardInterrupt
        from vae_cli.restore import go_on

        signals.check()
        run, kept = None, None
        if resume:
            run = runs.find_stopped(run_name)
            kept, settings = go_on(run, layers)
            if run.finished and kept.facts["epoch"] >= settings.training.epochs:
                terminal.result(f"run {run.name} is finished; raise --epochs to go on")
                return
        run, rows = learn(settings, name, run, kept, terminal, signals)
    if json:
        terminal.json({"run": str(run.path), "epochs": rows})


def learn(
    settings: config.Config,
    name: str | None,
    run: "Run | None",
    kept: "Checkpoint | None",
    terminal: Terminal,
    signals: StopSignals,
) -> "tuple[Run, list[Row]]":
    """Train a new run, or one that is there, and show how it goes; its rows."""
    from vae_cli import device, experiment, runs

    where = device.resolve(settings.training.device)
    settings = config.on_device(settings, where.type)
    with terminal.bar("reading") as bar:
        prepared = experiment.prepare(settings, where, signals.checking(bar))
    signals.check()
    run = run or runs.create(prepared.settings, name)
    terminal.note(f"{run.path}, {device.describe(where)}")
    terminal.note(describe(prepared))
    with TrainingView(terminal, settings.training.epochs, prepared.spec) as view:
        rows = experiment.train(
            run,
            prepared,
            where,
            kept=kept,
            report=view.report,
            progress=view.progress,
            stopped=signals.stopped,
        )
    view.summary(run, rows, prepared)
    return run, rows


def describe(prepared: "Prepared") -> str:
    """What will be learned from, and how large the network is."""
    spec, size = prepared.spec, prepared.size()
    shape = "x".join(map(str, spec.shape[1:] if spec.is_image else spec.shape))
    colours = {1: " grey", 3: " RGB"}.get(spec.shape[0], "") if spec.is_image else ""
    items = f"images of {shape}{colours}" if spec.is_image else f"rows of {shape} columns"
    return (
        f"{spec.name}: {len(prepared.train):,} {items}, {len(prepared.test):,} held out; "
        f"{prepared.settings.model.network} with {size.parameters:,} parameters, "
        f"{size.multiply_adds / 1e6:,.2f} M multiply-adds an item, "
        f"{size.batch_bytes / 2**20:,.0f} MiB a batch"
    )
