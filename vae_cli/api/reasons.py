"""Why rows are strange: the columns that the rest of their rows did not let expect."""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from vae_cli.api.model import TrainedModel
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.data.spelling import spell
from vae_cli.latent.imputation import SAMPLES, least_probable, measure_column, require_table
from vae_cli.noise import Noise

MAX_HIDDEN = 64  # columns of a row that are hidden one by one
CHUNK_VALUES = 2**22  # of the outputs for the samples of some rows
EXPECTED_DIGITS = 6  # significant ones of an expected number whose column has no fixed decimals


class Reason(NamedTuple):
    """A column of a row, and what the rest of the row let expect.

    Attributes:
        column: its name.
        value: as a cell of its table.
        expected: the same; the mean of a number, or the most probable category.
        nll: −log p(value | the other columns) in nats, in the units of the data.
        surprise: what the nll is above that of the values that were expected, in units of its
            spread.
    """

    column: str
    value: str
    expected: str
    nll: float
    surprise: float


@final
@dataclass(frozen=True, kw_only=True)
class Reasons:
    """What each column of some rows adds to their being strange.

    Attributes:
        columns: of the rows.
        decimal: the sign before decimals in their table.
        rows: float64 `(P, D)`.
        nll: as in `ColumnOdds`, `(P, D)`; NaN for a column that was not hidden.
        surprise: the same.
        expected: the same.
    """

    columns: tuple[Column, ...]
    decimal: str
    rows: Tensor
    nll: Tensor
    surprise: Tensor
    expected: Tensor

    def of_row(self, index: int) -> list[Reason]:
        """The columns of a row that were hidden, the most surprising one first."""
        surprise = self.surprise[index].nan_to_num(-torch.inf)
        order = surprise.argsort(descending=True, stable=True).tolist()
        return [self._describe(index, place) for place in order if surprise[place] > -torch.inf]

    def _describe(self, index: int, place: int) -> Reason:
        column, cell = self.columns[place], (index, place)
        value, expected = (
            spell(column, one[cell].view(1), self.decimal, digits)[0]
            for one, digits in ((self.rows, None), (self.expected, EXPECTED_DIGITS))
        )
        numbers = (one[cell].item() for one in (self.nll, self.surprise))
        return Reason(column.name, value, expected, *numbers)


def explain_rows(
    model: TrainedModel,
    rows: Tensor,
    *,
    y: Tensor | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> Reasons:
    """Hide each column of some rows in turn, and measure how probable its value is.

    Of a table with very many columns, those of a row are hidden that its decoder finds least
    probable.

    Args:
        model: of such rows.
        rows: float64 `(P, D)` in the units of the data.
        y: their conditions as the network takes them, `(P, W)`; None if there are none.
        samples: importance samples of each row and column.
        seed: of the random numbers.
        progress: called with the number of cells that are done, and of all.

    Raises:
        UsageError: the items of the model are images.
    """
    layout, noise = require_table(model.model).layout, Noise(seed, model.model.device)
    cells = least_probable(model.model, rows, MAX_HIDDEN, y)
    found = [torch.full_like(rows, torch.nan) for _ in range(3)]
    done = 0
    for some in cells.split(max(1, CHUNK_VALUES // (samples * layout.width))):
        row, column = some.T
        told = None if y is None else y[row.to(y.device)]
        odds = measure_column(model.model, rows[row], column, noise, samples, told)
        for table, values in zip(found, odds, strict=True):
            table[row, column] = values
        done += len(some)
        progress(done, len(cells))
    nll, surprise, expected = found
    return Reasons(
        columns=model.spec.columns,
        decimal=model.spec.table.decimal,
        rows=rows,
        nll=nll,
        surprise=surprise,
        expected=expected,
    )
