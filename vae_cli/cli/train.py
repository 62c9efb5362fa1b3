"""`vae train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vae_cli import config
from vae_cli.cli.console import Terminal
from vae_cli.cli.options import Json, Quiet, check_idle, with_settings
from vae_cli.cli.signals import StopSignals
from vae_cli.cli.training_view import TrainingView


@with_settings
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
        from vae_cli import device, experiment, runs  # some modules swallow a KeyboardInterrupt

        signals.check()
        run, kept = None, None
        if resume:
            run = runs.find_stopped(run_name)
            kept, settings = runs.go_on(run, layers)
            if run.finished and kept.facts["epoch"] >= settings.training.epochs:
                terminal.result(f"run {run.name} is finished; raise --epochs to go on")
                return
        where = device.resolve(settings.training.device)
        settings = config.on_device(settings, where.type)
        experiment.check(settings, where)
        run = run or runs.create(settings, name)
        terminal.note(f"{run.path}, {device.describe(where)}")
        with TrainingView(terminal, settings.training.epochs) as view:
            rows = experiment.train(
                run,
                settings,
                where,
                kept=kept,
                report=view.report,
                progress=view.progress,
                stopped=signals.stopped,
            )
    view.summary(run, rows, settings.model.latent_dim)
    if json:
        terminal.json({"run": str(run.path), "epochs": rows})
