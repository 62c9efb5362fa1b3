"""`vae sweep`."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import add_start
from vae_cli.cli._jobs import more_jobs, train_all
from vae_cli.cli._options import TrainingTerminal
from vae_cli.cli._settings import SettingsGroup, with_settings
from vae_cli.cli._signals import StopSignals
from vae_cli.cli._tables import group_record, print_table, run_record
from vae_cli.data.source import find_source
from vae_cli.errors import InterruptedRunError, UsageError, VAEError, mark
from vae_cli.runs.compare import SEED, group_runs, tabulate_groups
from vae_cli.runs.directory import ROOT, Run
from vae_cli.runs.summary import read_state, summarize_run
from vae_cli.settings import (
    Axis,
    Variant,
    expand_sweep,
    merge,
    parse_axis,
    parse_seeds,
)


@with_settings()
def command(
    *,
    typed: dict[str, dict[str, Any]],
    axes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SETTING=VALUES...",
            help="Settings and their values, as in beta=0.5,1,4; all combinations are trained.",
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="START:STOP",
            help="Train each combination with these seeds, without STOP, or with a list as in 0,4.",
        ),
    ] = None,
    files: SettingsGroup,
    name: Annotated[
        str, typer.Option("--name", help="Beginning of the names of all runs.")
    ] = "sweep",
    jobs: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that train runs at the same time.")
    ] = 1,
    terminal: TrainingTerminal,
) -> None:
    """Train all combinations of some settings; the same command continues after a stop.

    Example: `vae sweep beta=0.5,1,4 latent-dim=2,10 --seeds 0:3 --epochs 10`
    """
    layers = files.read_layers(typed)
    parsed = parse_axes(axes or [], seeds, typed)
    if start := merge(*layers).training.start:
        layers = add_start(layers, start)
    variants = expand_sweep(name, layers, parsed)
    for source in dict.fromkeys(variant.config.data.name for variant in variants):
        find_source(source, "data.name")  # a typo is answered before torch is imported
    if seeds is not None and re.fullmatch("[0-9]+", seeds) and int(seeds) > 1:
        terminal.remark(f"--seeds {seeds} is one seed; for {seeds} seeds: --seeds 0:{seeds}")
    with StopSignals() as signals:
        with more_jobs(jobs - 1, variants, signals, quiet=terminal.quiet):
            failures = train_all(variants, terminal, signals)
        if jobs > 1:  # what another process left unfinished
            failures = train_unfinished(variants, terminal, signals)
    runs = [summarize_run(Run(ROOT / variant.name)) for variant in variants]
    keys = [axis.entry.key for axis in parsed if axis.entry.key != SEED]
    groups = group_runs([run for run in runs if run.state == "finished"], keys)
    if terminal.wants_json:
        records = {"runs": list(map(run_record, runs)), "groups": list(map(group_record, groups))}
        terminal.json(records)
    elif groups:
        print_table(terminal, tabulate_groups(groups))
        terminal.note(f"try: vae plot '{name}-*'")
    if failures:
        count = f"{len(failures)} of {len(variants)} runs failed"
        raise VAEError(f"{count}; the first: {next(iter(failures.values())).message}")


def train_unfinished(
    variants: Sequence[Variant], terminal: Terminal, signals: StopSignals
) -> dict[str, VAEError]:
    """Train the runs that are not finished; returns what failed, by name.

    Raises:
        InterruptedRunError: there was a signal, and the other processes have saved.
    """
    left = [variant for variant in variants if read_state(Run(ROOT / variant.name)) != "finished"]
    if left and (number := signals.stopped()):
        raise InterruptedRunError("stopped; the same command goes on", number)
    return train_all(left, terminal, signals) if left else {}


def parse_axes(
    texts: Sequence[str], seeds: str | None, typed: Mapping[str, Mapping[str, Any]]
) -> list[Axis]:
    """The settings that are varied, the seed last.

    Raises:
        UsageError: nothing is varied, or a setting is given as an option too.
    """
    axes = [parse_axis(text) for text in texts]
    if seeds is not None:
        axes.append(parse_seeds(seeds))
    if not axes:
        raise UsageError("nothing is varied: name a setting, as in beta=0.5,1,4, or --seeds 0:3")
    for axis in axes:
        if axis.entry.name in typed.get(axis.entry.section, {}):
            raise UsageError(f"{mark(axis.entry.key)} and {axis.text}: give only one of them")
    return axes
