"""`vae impute`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_cli.cli._console import Terminal
from vae_cli.cli._inputs import RunGroup
from vae_cli.cli._options import FixedSeed, Force, ResultTerminal, output_option
from vae_cli.cli._output import Request, require_suffix
from vae_cli.cli._parsing import require_no_run
from vae_cli.errors import UsageError, plural
from vae_cli.files import Output, exists
from vae_cli.rendering.suffixes import CSV, TABLE_SUFFIXES

if TYPE_CHECKING:
    from vae_cli.api.imputing import ImputedTable
    from vae_cli.api.model import TrainedModel

LOW_SHARE = 0.05  # of the samples, with fewer effective ones a filling is uncertain


def command(
    *,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A table with the columns of the model. [default: that of the run]",
        ),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            help="Completed tables to write, one below the other with a column draw; 0 is one "
            "table of means and most probable categories.",
        ),
    ] = 0,
    samples: Annotated[
        int, typer.Option(min=16, max=100_000, help="Importance samples of each row.")
    ] = 256,
    seed: FixedSeed = 0,
    run: RunGroup,
    output: Annotated[
        Path | None,
        output_option(
            "File to write: .csv, .tsv or .parquet, or - for standard output. [default: impute.csv]"
        ),
    ] = None,
    uncertainty: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Write a row for each filled cell as well: its deviation and range, or the "
            "probability of its category.",
            rich_help_panel="Output",
        ),
    ] = None,
    force: Force = False,
    terminal: ResultTerminal,
) -> None:
    """Fill the missing values of a table, given the others of their rows.

    Example: `vae impute holes.csv -o full.csv`, or `vae impute holes.csv --draws 5`
    """
    require_suffix(output, TABLE_SUFFIXES)
    require_suffix(uncertainty, [CSV], "--uncertainty")
    table = Request(output, terminal, inputs=[file], force=force, json=terminal.wants_json)
    details = Request(uncertainty, terminal, flag="--uncertainty", inputs=[file], force=force)
    details.refuse_standard_output("cells.csv")
    if file and not exists(file):
        require_no_run(file)
    model = run.open(terminal, outputs=[table, details])
    advise_full_weight(terminal, model)
    path = file or find_own_table(model)
    outputs = [table.open_table(Path("impute.csv"))]
    if uncertainty:
        outputs.append(details.open_file(uncertainty))
    from vae_cli.api.imputing import impute_table

    found = impute_table(model, path, draws=draws, samples=samples, seed=seed, stage=terminal.bar)
    for note in found.cells.notes:
        terminal.remark(f"{path.name}: {note}", "yellow")
    warn_of_few_samples(terminal, found, samples)
    found.write(outputs[0])
    if uncertainty:
        found.write_uncertainty(outputs[1])
    print_columns(terminal, found, outputs)


def find_own_table(model: "TrainedModel") -> Path:
    """The table that a model was trained on.

    Raises:
        UsageError: it was no file of a table, or nobody has confirmed its path.
    """
    from vae_cli.data.source import SourceKind, find_source

    name = model.data_name
    if name is None or find_source(name).kind is not SourceKind.TABLE:
        raise UsageError(f"run {model.name} has no table of its own here: name a FILE with holes")
    return Path(name)


def advise_full_weight(terminal: Terminal, model: "TrainedModel") -> None:
    """Say that a training with less weight of the KL divergence is no density of rows."""
    from vae_cli.settings.objectives import ELBO

    objective = model.settings.objective
    if isinstance(objective, ELBO) and objective.beta != "auto" and objective.beta < 1:
        terminal.remark(
            f"{model.name} was trained with --beta {objective.beta:g}, for samples; trained with "
            "--beta 1, it says better how uncertain holes are"
        )


def warn_of_few_samples(terminal: Terminal, found: "ImputedTable", samples: int) -> None:
    """Say for how many rows hardly any sample fits what is observed."""
    poor = int((found.found.effective_samples < LOW_SHARE * samples).sum())
    if poor:
        terminal.remark(
            f"in {plural(poor, 'row')}, fewer than {LOW_SHARE:.0%} of the samples fit what is "
            "observed, so their uncertainty is underestimated: raise --samples",
            "yellow",
        )


def print_columns(terminal: Terminal, found: "ImputedTable", outputs: Sequence[Output]) -> None:
    """Print how many cells were filled in each column, how certainly, and the paths."""
    columns, effective = found.summarize(), found.found.effective_samples
    if terminal.wants_json:
        terminal.json(
            {
                "output": list(map(str, outputs)),
                "rows": len(found),
                "rows_with_holes": len(effective),
                "draws": found.draws,
                "effective_samples": effective.mean().item() if len(effective) else None,
                "columns": {
                    one.name: {
                        "holes": one.holes,
                        "deviation": one.deviation,
                        "probability": one.probability,
                    }
                    for one in columns
                },
            }
        )
        return
    if columns:
        table = [
            (
                one.name,
                f"{one.holes:,}",
                "" if one.deviation is None else f"{one.deviation:.4g}",
                "" if one.probability is None else f"{one.probability:.2f}",
            )
            for one in columns
        ]
        terminal.table(("", "holes", "mean deviation", "mean probability"), table)
    else:
        terminal.remark("no value is missing, so the table is written as it is")
    for path in outputs:
        terminal.result(path)
