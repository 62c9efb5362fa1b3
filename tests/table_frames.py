"""The rows of `tables` as pandas has them."""

import numpy as np
import pandas as pd
from tables import COLUMNS
from torch import Tensor

NAMES = [column.name for column in COLUMNS]


def to_frame(rows: Tensor) -> pd.DataFrame:
    """Rows `(N, 7)` without their constant: numbers, dates, texts, and True and False."""
    found = {}
    for values, column in zip(rows.numpy().T, COLUMNS, strict=True):
        if column.kind == "category":
            texts = (False, True) if column.name == "member" else column.categories
            cells = [np.nan if np.isnan(code) else texts[int(code)] for code in values]
            found[column.name] = pd.Series(cells, dtype=object)
        elif column.kind == "date":
            found[column.name] = pd.Series(pd.to_datetime(values, unit="s"))
        elif column.kind != "constant":
            found[column.name] = pd.Series(values)
    return pd.DataFrame(found)
