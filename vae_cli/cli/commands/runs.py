"""`vae runs`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vae_cli.cli._console import Terminal, printable
from vae_cli.cli._options import Force, ResultTerminal, output_option, refuse_unused
from vae_cli.cli._output import Request, require_suffix
from vae_cli.cli._tables import SUFFIXES, group_record, run_record, show_table
from vae_cli.errors import UsageError, list_some, plural
from vae_cli.runs.compare import (
    MIXED_DATA,
    SEED,
    Group,
    group_runs,
    mix_data,
    sort_runs,
    tabulate_groups,
    tabulate_runs,
    title_of,
    varying_settings,
)
from vae_cli.runs.directory import foreign_names, remove_run, require_idle
from vae_cli.runs.lookup import select_removable, select_runs
from vae_cli.runs.summary import RunSummary, summarize_run
from vae_cli.settings import find_setting

REMOVE = "rm"
MAX_NAMES = 20  # in a question or a remark


def command(
    *,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATTERN...",
            help="Names, beginnings of names, or patterns such as 'beta-*'; rm before whole names "
            "or patterns removes these runs. [default: all runs]",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Sort by a column or a setting, low to high. [default: the oldest first]",
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Sort from high to low.")] = False,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="KEYS",
            help="Show the mean and the standard deviation of the finished runs with equal values "
            "of these settings, as in beta,latent-dim.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without a question.")] = False,
    output: Annotated[
        Path | None,
        output_option(
            "Write the whole table to a file: .csv, .md, .tex or .json; - is CSV on standard "
            "output."
        ),
    ] = None,
    force: Force = False,
    terminal: ResultTerminal,
) -> None:
    """List the runs of this folder, and compare their settings and figures.

    Example: `vae runs --sort test_loss`, `vae runs 'beta-*' --group beta`, or `vae runs rm NAME`
    """
    words = patterns or []
    if words[:1] == [REMOVE]:
        for flag, used in (
            ("--sort", sort),
            ("--group", group),
            ("--output", output),
            ("--force", force),
        ):
            refuse_unused(flag, bool(used), f"leave out {REMOVE}")
        remove(words[1:], terminal, yes=yes)
        return
    refuse_unused("--yes", yes, f"use vae runs {REMOVE} NAME --yes")
    refuse_unused("--reverse", reverse and not sort, "add --sort KEY")
    refuse_unused("--sort", bool(sort and group), "leave out --group")
    refuse_unused("--force", force and not output, "add -o FILE.csv")
    require_suffix(output, SUFFIXES)
    wanted = Request(output, terminal, force=force, json=terminal.wants_json)
    keys = [find_setting(word, "--group").key for word in group.split(",")] if group else []
    runs = sort_runs([summarize_run(run) for run in select_runs(words)], sort)
    runs = runs[::-1] if reverse else runs
    note_old_evaluations(runs, terminal)
    wanted.check_data_of(runs)
    if group:
        groups = group_finished(runs, keys, terminal)
        table, records = tabulate_groups(groups), [group_record(one) for one in groups]
    else:
        table, records = tabulate_runs(runs), [run_record(run) for run in runs]
    path = wanted.open_table(output) if output else None
    show_table(terminal, table, records, path)


def note_old_evaluations(runs: Sequence[RunSummary], terminal: Terminal) -> None:
    """Say whose evaluations are not shown, because they are of other weights."""
    if old := [run.run.name for run in runs if run.has_old_evaluation]:
        terminal.remark(
            f"left out: the evaluation of {list_some(old, MAX_NAMES)}, which is not of the weights "
            "there are now; vae evaluate makes another",
            "yellow",
        )


def group_finished(
    runs: Sequence[RunSummary], keys: Sequence[str], terminal: Terminal
) -> list[Group]:
    """The finished runs in groups; remarks say what is left out, and what else differs.

    Raises:
        UsageError: no run is finished.
    """
    finished = [run for run in runs if run.state == "finished"]
    if not finished:
        raise UsageError("none of these runs is finished: leave out --group")
    if left_out := len(runs) - len(finished):
        terminal.remark(f"left out because they are not finished: {left_out} of {len(runs)} runs")
    groups = group_runs(finished, keys)
    mixed = {key for one in groups for key in varying_settings(one.runs)} - {SEED}
    if mixed:
        names = ", ".join(sorted(map(title_of, mixed)))
        terminal.remark(f"within a group, these settings differ too: {names}", "yellow")
    if mix_data(groups):
        terminal.remark(MIXED_DATA, "yellow")
    return groups


def remove(patterns: Sequence[str], terminal: Terminal, *, yes: bool) -> None:
    """Remove runs after a question.

    Raises:
        UsageError: no run is named, one is being trained, or nobody can be asked.
    """
    if not patterns:
        raise UsageError(f"vae runs {REMOVE}: name the runs to remove")
    runs = select_removable(patterns)
    foreign = {run: foreign_names(run) for run in runs}
    for run in runs:
        require_idle(run)
    names = [run.name for run in runs]
    others = [f"{run.name}/{name}" for run, found in foreign.items() for name in found]
    if not (agree_to_yes(others) if yes else ask(names, others)):
        terminal.note("nothing was removed")
        return
    for run in runs:
        remove_run(run, foreign[run])
    if terminal.wants_json:
        terminal.json({"removed": names})
    else:
        terminal.result(f"removed {list_some(names, MAX_NAMES)}")


def agree_to_yes(others: Sequence[str]) -> bool:
    """Whether runs are removed without a question: never with what `vae` did not write.

    Raises:
        UsageError: there is something else in them.
    """
    if others:
        raise UsageError(
            f"--yes removes only what vae wrote, and these runs hold {list_some(others, MAX_NAMES)}"
            ": move it elsewhere, or leave out --yes to be asked"
        )
    return True


def ask(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a person at the terminal agrees that runs, and what else is in them, are removed.

    Raises:
        UsageError: there is no terminal.
    """
    count = plural(len(names), "run")
    more = f", with what vae did not write: {list_some(others, MAX_NAMES)}" if others else ""
    what = f"{count}: {list_some(names, MAX_NAMES)}{more}"
    if not sys.stdin.isatty():
        remedy = "move that elsewhere" if others else "add --yes to do it without a question"
        raise UsageError(f"this would remove {what}; {remedy}")
    return typer.confirm(printable(f"remove {what}?"), err=True)
