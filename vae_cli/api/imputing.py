"""Filling the holes of a table in a file, with everything else as it is in the file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.api.model import TrainedModel
from vae_cli.data.dataset import Stage, ignore_stage
from vae_cli.data.table_filling import TableCells, with_column
from vae_cli.data.table_writing import PARQUET, TSV, write_parquet
from vae_cli.errors import UsageError
from vae_cli.files import Writable, escape_formula, write_csv
from vae_cli.latent.imputation import SAMPLES, Imputation, impute
from vae_cli.noise import Noise

if TYPE_CHECKING:
    import pyarrow as pa

SECONDS_PER_DAY = 86_400.0
DETAILS = ("column", "value", "deviation", "low", "high", "probability")


@final
@dataclass(frozen=True, kw_only=True)
class FilledColumn:
    """What was filled in a column.

    Attributes:
        name: of the column.
        holes: the number of cells that had no value.
        deviation: the mean standard deviation of a number, in days of a date; None of a category.
        probability: the mean probability of the category that was chosen; None of a number.
    """

    name: str
    holes: int
    deviation: float | None = None
    probability: float | None = None


@final
@dataclass(frozen=True, kw_only=True)
class ImputedTable:
    """A table whose holes are filled.

    Attributes:
        cells: of the file.
        found: what its holes may be.
    """

    cells: TableCells
    found: Imputation

    def __len__(self) -> int:
        return len(self.found.rows)

    @property
    def draws(self) -> int:
        """The number of samples of each hole; 0 if means and modes are filled in."""
        return len(self.found.draws)

    def summarize(self) -> list[FilledColumn]:
        """What was filled in each column that had holes."""
        places = enumerate(self.cells.holes)
        return [self._summarize(place) for place, holes in places if holes.any()]

    def _summarize(self, place: int) -> FilledColumn:
        column, holes = self.cells.columns[place], self.cells.holes[place]
        filled, is_hole = self.found.filled, torch.from_numpy(holes)[self.found.places]
        count = int(holes.sum())
        match column.kind:
            case "constant":
                return FilledColumn(name=column.name, holes=count, probability=1.0)
            case "category":
                mean = filled.probability[is_hole, place].mean().item()
                return FilledColumn(name=column.name, holes=count, probability=mean)
            case _:
                mean = self._deviation(place)[is_hole].mean().item()
                return FilledColumn(name=column.name, holes=count, deviation=mean)

    def _deviation(self, place: int) -> Tensor:
        """The standard deviation of a column, in days of a date."""
        is_date = self.cells.columns[place].kind == "date"
        return self.found.filled.deviation[:, place] / (SECONDS_PER_DAY if is_date else 1)

    def write(self, path: Writable) -> None:
        """Write the table as it is in its file, with its holes filled.

        Several draws are one table after another, with their number from 1 in a column `draw`.

        Args:
            path: ends in `.csv`, `.tsv` or `.parquet`.

        Raises:
            VAEError: the file cannot be written.
        """
        if path.suffix.lower() == PARQUET:
            write_parquet(path, self.to_arrow())
            return
        delimiter = "\t" if path.suffix.lower() == TSV else self.cells.source.delimiter
        titles, rows = self.cells.titles, self._rows()
        if self.draws:
            titles = ["draw", *titles]
        write_csv(path, titles, rows, delimiter)

    def to_arrow(self) -> "pa.Table":
        """The table with types, as it is written."""
        import pyarrow as pa

        if not self.draws:
            return self.cells.to_arrow(self.found.rows)
        tables = map(self.cells.to_arrow, self.found.tables())
        numbers = pa.array(np.repeat(np.arange(1, self.draws + 1), len(self)))
        return pa.concat_tables(tables).add_column(0, "draw", numbers)

    def _rows(self) -> Iterator[Sequence[object]]:
        if not self.draws:
            yield from self.cells.fill(self.found.rows)
        for number, rows in enumerate(self.found.tables(), 1):
            yield from with_column(self.cells.fill(rows), number)

    def write_uncertainty(self, path: Writable) -> None:
        """Write a row for each cell that was filled: what may be there.

        Raises:
            VAEError: the file cannot be written.
        """
        write_csv(path, ["row", *(["id"] if self.cells.ids else []), *DETAILS], self._details())

    def _details(self) -> Iterator[Sequence[object]]:
        """The number of each row and its id; column, value, deviation, range and probability."""
        by_column = {
            place: self._spell_details(place)
            for place, holes in enumerate(self.cells.holes)
            if holes.any()
        }
        for index, number in enumerate(self.found.places.tolist()):
            known = [number, *([escape_formula(self.cells.ids[number])] if self.cells.ids else [])]
            for place, details in by_column.items():
                if self.cells.holes[place][number]:
                    name = escape_formula(self.cells.columns[place].name)
                    yield [*known, name, *details[index]]

    def _spell_details(self, place: int) -> list[tuple[str, ...]]:
        column, filled = self.cells.columns[place], self.found.filled
        ranges = (filled.rows, filled.low, filled.high)
        if not column.is_measured:
            values = map(escape_formula, self.cells.spell(place, filled.rows[:, place]))
            chances = filled.probability[:, place].nan_to_num(1.0).tolist()
            return [(text, "", "", "", f"{p:.4g}") for text, p in zip(values, chances, strict=True)]
        value, low, high = (self.cells.spell(place, one[:, place]) for one in ranges)
        deviations = [f"{one:.6g}" for one in self._deviation(place).tolist()]
        return list(zip(value, deviations, low, high, [""] * len(value), strict=True))


def impute_table(
    model: TrainedModel,
    path: Path,
    *,
    draws: int = 0,
    samples: int = SAMPLES,
    seed: int = 0,
    stage: Stage = ignore_stage,
) -> ImputedTable:
    """Fill the holes of a table with what a model knows about them, given the rest of the rows.

    Args:
        model: of such rows; its training set need not have had holes.
        path: of the table, with the columns of the model and perhaps others.
        draws: samples of each hole; 0 is the mean or the mode.
        samples: importance samples of each row.
        seed: of the random numbers.
        stage: shows the progress of a part of the work with a name.

    Raises:
        UsageError: the items of the model are images, or the table cannot be read or does not have
            its columns.
    """
    if model.spec.is_image:
        raise UsageError(f"{path}: only rows of a table have holes, and {model.name} has images")
    from vae_cli.data.table_files import open_table

    with stage("reading") as progress:
        cells = TableCells(open_table(path, progress), model.spec)
    with stage("imputing") as progress:
        noise = Noise(seed, model.model.device)
        found = impute(
            model.model,
            cells.rows,
            noise,
            draws=draws,
            samples=samples,
            progress=progress,
            y=model.converter.encode_condition(cells.condition),
        )
    return ImputedTable(cells=cells, found=found)
