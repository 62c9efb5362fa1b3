"""Rows of a table with columns of all kinds, and what they mean."""

import torch
from torch import Generator, Tensor

from vae_cli.data.columns import CellFormat, Column

COLUMNS = (
    Column(name="income"),
    Column(name="age", kind="integer"),
    Column(name="size", kind="category", categories=("small", "middle", "large")),
    Column(name="unit", kind="constant", categories=("kg",)),
    Column(name="joined", kind="date"),
    Column(name="price", format=CellFormat(decimals=2)),
    Column(name="member", kind="category", categories=("no", "yes")),
)


def mixed_rows(count: int, *, holes: float = 0.0, seed: int = 0) -> Tensor:
    """Rows whose columns depend on each other: float64 `(count, 7)`.

    A third of the incomes is 0. A share of the values is missing.
    """
    generator = Generator().manual_seed(seed)

    def normal() -> Tensor:
        return torch.randn(count, generator=generator).double()

    factor = normal()
    income = (0.8 * factor + 0.3 * normal()).exp()
    income[torch.rand(count, generator=generator) < 1 / 3] = 0
    size = (factor + 0.5 * normal() > 0).double() + (factor > 1)
    rows = torch.stack(
        [
            income,
            (40 + 10 * factor + 3 * normal()).round().clamp(0, 99),
            size,
            torch.zeros(count),
            86_400 * torch.randint(15_000, 20_000, (count,), generator=generator).double(),
            (100 * (5 + 2 * factor.square() + normal().abs())).round() / 100,
            (normal() > factor).double(),
        ],
        1,
    )
    missing = torch.rand(rows.shape, generator=generator) < holes
    missing[:, 3] = False
    rows[missing] = torch.nan
    return rows
