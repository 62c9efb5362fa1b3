"""Data frames that are returned: rows with the types of their columns, in the library of the user.

Rows are arrays of numbers, in which a category is a code and a date a count of seconds. Who gives a
frame gets one back.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from vae_cli.api.arrays import Array
from vae_cli.data.conditioning import in_file_order
from vae_cli.data.dataset import Spec
from vae_cli.data.table_writing import to_arrow


def like_frame(given: object, rows: Array, spec: Spec) -> Any:
    """Rows, or whole rows, as a frame of the library whose frame was given; arrays as they are.

    A frame of pandas keeps its index, if no row was left out. A mapping of columns gets lists.
    """
    columns, values = in_file_order(spec, rows)
    if isinstance(given, Mapping):
        return to_arrow(columns, values).to_pydict()
    match type(given).__module__.partition(".")[0]:
        case "pyarrow":
            return to_arrow(columns, values)
        case "polars":
            return importlib.import_module("polars").from_arrow(to_arrow(columns, values))
        case "pandas":
            frame = to_arrow(columns, values).to_pandas()
            index = getattr(given, "index", None)
            return frame if index is None or len(index) != len(frame) else frame.set_index(index)
        case _:
            return rows
