"""The rows of `metrics.csv`."""

from collections.abc import Sequence
from pathlib import Path

from vae_cli.files import write_csv
from vae_cli.runs.facts import Row
from vae_cli.training import EpochReport


def make_row(report: EpochReport, held_out_name: str) -> Row:
    """One row of `metrics.csv`: the terms of the losses in nats, averaged over items."""
    row: Row = {"epoch": report.epoch}
    for part, metrics in (("train", report.train), (held_out_name, report.test)):
        for name in report.test.terms:
            row[f"{part}_{name}"] = round(metrics.terms[name], 4)
        row[f"{part}_loss"] = round(metrics.loss, 4)
    return row | {
        f"{held_out_name}_elbo": round(report.test.elbo, 4),
        "active_dims": report.test.active,
        "seconds": round(report.seconds, 3),
    }


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the metrics of each epoch; a column that some rows lack is empty there.

    Raises:
        VAEError: the file cannot be written.
    """
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        write_csv(path, columns, ([row.get(name, "") for name in columns] for row in rows))
