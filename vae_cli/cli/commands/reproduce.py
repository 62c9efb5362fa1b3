"""`vae reproduce`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._figures import (
    describe_verdict,
    experiment_record,
    tabulate_experiments,
    verdict_record,
)
from vae_cli.cli._jobs import train_all
from vae_cli.cli._options import Device, TrainingTerminal, refuse_unused
from vae_cli.cli._signals import StopSignals
from vae_cli.cli._tables import print_table
from vae_cli.errors import UsageError, VAEError
from vae_cli.runs.directory import ROOT, Run
from vae_cli.settings import Experiment, list_experiments, read_experiments

if TYPE_CHECKING:
    from vae_cli.evaluation.claims import Verdict
    from vae_cli.runs.summary import Figure


def command(
    *,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...", help="Named experiments, or config files with a table [published]."
        ),
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="List the experiments, with their time and status.")
    ] = False,
    device: Device = "auto",
    terminal: TrainingTerminal,
) -> None:
    """Train published experiments, and say whether their numbers hold.

    A run that was stopped goes on, and a finished one is only evaluated.

    Example: `vae reproduce examples-fashion-mnist`
    """
    if show_list:
        refuse_unused("NAME", bool(names), "leave out --list")
        show_experiments(terminal)
        return
    if not names:
        raise UsageError("nothing to reproduce: name an experiment; --list shows them")
    typed = {} if device == "auto" else {"training": {"device": device}}
    wanted, needed = read_experiments(names, typed)
    verdicts = reproduce(wanted, needed, terminal)
    if terminal.wants_json:
        terminal.json({name: list(map(verdict_record, found)) for name, found in verdicts.items()})
    failed = [name for name, found in verdicts.items() if not all(one.holds for one in found)]
    if failed:
        raise VAEError(f"{len(failed)} of {len(verdicts)} do not hold: {', '.join(failed)}")


def show_experiments(terminal: Terminal) -> None:
    """Print all named experiments that can be reproduced."""
    found = list_experiments()
    if terminal.wants_json:
        terminal.json(list(map(experiment_record, found)))
    else:
        print_table(terminal, tabulate_experiments(found), remedy="use --json")


def reproduce(
    wanted: list[Experiment], needed: Mapping[str, Experiment], terminal: Terminal
) -> "dict[str, list[Verdict]]":
    """Train and evaluate what is needed, and print a line for each number that is expected.

    Returns:
        The verdicts about each experiment that is wanted.

    Raises:
        InterruptedRunError: there was a signal; the same command goes on.
        UsageError: a run is not possible, or lacks a figure.
        VAEError: a training failed, or another process has not finished one.
    """
    train_needed(needed, terminal)
    from vae_cli.evaluation.claims import judge, pool_runs

    judged = [one.name for one in wanted]
    judged += [other for one in wanted for claim in one.published.claims for other in claim.above]
    measured = evaluate_all({name: needed[name] for name in judged}, terminal)
    verdicts: dict[str, list[Verdict]] = {}
    for experiment in wanted:
        verdicts[experiment.name] = []
        for claim in experiment.published.claims:
            names = (experiment.name, *claim.above)
            figures = {name: pool_runs(measured[name], claim.figure) for name in names}
            verdicts[experiment.name] += judge(claim, figures, experiment.name)
        for one in verdicts[experiment.name]:
            terminal.result(describe_verdict(experiment.name, one))
        if not experiment.published.claims:
            terminal.result(f"{experiment.name}: no number is expected; vae runs shows what it has")
    return verdicts


def train_needed(needed: Mapping[str, Experiment], terminal: Terminal) -> None:
    """Train the runs that are not finished.

    Raises:
        InterruptedRunError: there was a signal.
        VAEError: a training failed, or another process has not finished one.
    """
    variants = [one for experiment in needed.values() for one in experiment.variants]
    with StopSignals() as signals:
        failures = train_all(variants, terminal, signals)
    for name, error in failures.items():
        raise VAEError(f"{name}: {error.message}") from error
    for variant in variants:
        if not Run(ROOT / variant.name).finished:
            raise VAEError(f"another process is training {variant.name}: try again later")


def evaluate_all(
    experiments: Mapping[str, Experiment], terminal: Terminal
) -> "dict[str, list[dict[str, Figure]]]":
    """The figures of the runs of each experiment, by its name."""
    from vae_cli.api.evaluation import evaluate_run
    from vae_cli.device import resolve_device

    return {
        name: [
            evaluate_run(
                Run(ROOT / variant.name),
                resolve_device(variant.config.training.device),
                experiment.published.samples,
                terminal.bar,
            )
            for variant in experiment.variants
        ]
        for name, experiment in experiments.items()
    }
