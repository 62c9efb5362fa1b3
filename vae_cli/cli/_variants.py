"""Training several runs one after another, with one line for each."""

import time
from collections.abc import Sequence

from vae_cli.cli._console import Terminal
from vae_cli.cli._signals import StopSignals
from vae_cli.cli._tables import format_cell
from vae_cli.errors import InterruptedRunError, VAEError
from vae_cli.runs.directory import ROOT, Run
from vae_cli.runs.summary import RunSummary, held_out_part, summarize_run
from vae_cli.settings import Variant

ENDINGS = {"finished": "finished before", "running": "left to another process"}


def train_all(
    variants: Sequence[Variant], terminal: Terminal, signals: StopSignals
) -> dict[str, VAEError]:
    """Train runs, and print one line for each; returns what failed, by name.

    Raises:
        InterruptedRunError: there was a signal; the state of the run was saved first.
        UsageError: a run is not possible; nothing was trained.
    """
    from vae_cli.device import describe_device
    from vae_cli.runs.sweep import SharedData, require_variants, train_variant

    signals.raise_if_stopped()
    data = SharedData()
    with terminal.bar("reading") as bar:
        devices = require_variants(variants, data, signals.raising(bar))
    count = "1 run" if len(variants) == 1 else f"{len(variants)} runs"
    terminal.print_remarks()
    described = dict.fromkeys(map(describe_device, devices))
    terminal.note(f"{count} in {ROOT}/, {', '.join(described)}")
    width = max(len(variant.name) for variant in variants)
    failures: dict[str, VAEError] = {}
    for number, (variant, device) in enumerate(zip(variants, devices, strict=True), 1):
        place = f"{number:{len(str(len(variants)))}}/{len(variants)}"
        start = time.monotonic()
        try:
            with terminal.bar(f"{place} {variant.name}") as progress:
                dataset = data.open(variant.config.data)
                outcome = train_variant(
                    variant, dataset, device, progress=progress, stopped=signals.stopped
                )
        except InterruptedRunError as error:
            said = f"stopped in run {place.strip()}, {variant.name}; the same command goes on"
            raise InterruptedRunError(said, error.exit_code - 128) from error
        except VAEError as error:
            failures[variant.name] = error
            terminal.advice(f"{place} {variant.name}: {error}")
            continue
        ending = ENDINGS.get(outcome) or f"{time.monotonic() - start:.1f} s"
        summary = summarize_run(Run(ROOT / variant.name))
        terminal.result(f"{place} {variant.name.ljust(width)}  {describe(summary)}  {ending}")
    return failures


def describe(run: RunSummary) -> str:
    """The figures of the training of a run in one line, such as `kl 8.140  mse 15.540`."""
    prefix = f"{held_out_part(run.metrics)}_"
    trained = {name: value for name, value in run.figures.items() if name not in run.evaluation}
    return "  ".join(f"{name.removeprefix(prefix)} {format_cell(v)}" for name, v in trained.items())
