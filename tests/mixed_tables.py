"""A table with every kind of column, generated so that columns depend on each other."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vae_cli.data.columns import Column

CUTS, COLORS = ("Fair", "Good", "Ideal"), tuple("JIHGFED")
COLUMNS = (
    Column(name="carat"),
    Column(name="price", kind="integer"),
    Column(name="depth"),
    Column(name="cut", kind="category", categories=CUTS),
    Column(name="color", kind="category", categories=COLORS),
    Column(name="sold", kind="category", categories=("False", "True")),
    Column(name="unit", kind="constant", categories=("mm",)),
    Column(name="day", kind="date"),
)


def mixed_rows(count: int, seed: int, *, missing: float = 0.0, spread: float = 1.0) -> Tensor:
    """Rows `(count, 8)` of diamonds: heavy tails, atoms, dates, and a share of missing values.

    The first three columns, the category `sold` and the date depend on the size of the diamond.
    """
    random = np.random.default_rng(seed)
    size = random.lognormal(0, 0.5 * spread, count)
    carat = size.round(2)
    price = (4000 * size**1.5 * random.lognormal(0, 0.2, count)).round()
    depth = np.where(random.random(count) < 0.2, 60.0, 60 + random.standard_t(3, count)).round(1)
    cut = random.choice(3, count, p=[0.1, 0.3, 0.6])
    color = (np.digitize(size, [0.4, 0.6, 0.8, 1, 1.4, 2]) + (random.random(count) < 0.2)) % 7
    sold = size + 0.3 * random.normal(size=count) < 1
    day = 86_400 * (19_000 + 200 * size + random.integers(0, 30, count)).round()
    rows = np.stack([carat, price, depth, cut, color, sold, np.zeros(count), day], 1)
    rows[random.random(rows.shape) < missing] = np.nan
    rows[:, 6] = 0
    return torch.from_numpy(rows)


def to_frame(rows: Tensor) -> pd.DataFrame:
    """The same rows as pandas has them; without the constant."""
    found = {}
    for values, column in zip(rows.numpy().T, COLUMNS, strict=True):
        if column.kind == "category":
            texts = (True, False)[::-1] if column.name == "sold" else column.categories
            cells = [np.nan if np.isnan(code) else texts[int(code)] for code in values]
            found[column.name] = pd.Series(cells, dtype=object)
        elif column.kind == "date":
            found[column.name] = pd.Series(pd.to_datetime(values, unit="s"))
        elif column.kind != "constant":
            found[column.name] = pd.Series(values)
    return pd.DataFrame(found)
