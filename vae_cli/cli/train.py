"""`vae train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vae_cli import config
from vae_cli.cli.console import Terminal
from vae_cli.cli.options import Json, Quiet, with_settings
from vae_cli.cli.training_view import TrainingView


@with_settings
def command(
    typed: dict[str, dict[str, Any]],
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
    layers = [(str(config_file), config.read(config_file))] if config_file else []
    layers += [(f"--set {text}", config.assignment(text)) for text in assignments or []]
    settings = config.resolve(*layers, ("command line", typed))

    from vae_cli import device, experiment, runs
    from vae_cli.training import precision

    where = device.resolve(settings.training.device)
    settings = config.on_device(settings, where.type)
    precision.check(settings.training.precision, where)
    run = runs.create(settings, name)
    terminal = Terminal(quiet=quiet or json)
    terminal.note(f"{run.path}, {device.describe(where)}")
    with TrainingView(terminal, settings.training.epochs) as view:
        experiment.train(run, settings, where, report=view.report, progress=view.progress)
    view.summary(run)
    if json:
        rows = [experiment.row(done) for done in view.done]
        terminal.json({"run": str(run.path), "epochs": rows})
