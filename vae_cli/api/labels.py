"""Scores beside a column of the table that says which rows are strange."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from vae_cli.api.model import TrainedModel
from vae_cli.api.scoring import Scores
from vae_cli.data.cells import is_missing
from vae_cli.data.table_names import require_column
from vae_cli.errors import UsageError, list_some, mark
from vae_cli.evaluation.detection import Detection, measure_detection

MAX_NAMED = 5  # values in a message


@final
@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How well scores find the rows that a column of their table marks.

    Attributes:
        column: its name.
        positive: the value that marks a row.
        figures: AUROC and average precision.
        is_learned: whether the model has seen the column, which makes the figures too good.
    """

    column: str
    positive: str
    figures: Detection
    is_learned: bool


def compare_with_label(model: TrainedModel, scores: Scores, path: Path, label: str) -> Comparison:
    """Compare scores with a column of the table that was scored.

    Args:
        model: that gave the scores.
        scores: of the rows of the table.
        path: of the table.
        label: the name of a column with two values, of which the less frequent one marks a row; or
            with one of its values, as in `fraud=yes`, and then all others do not.

    Raises:
        UsageError: there is no such column or value, or it does not have two values.
    """
    from vae_cli.data.table_files import open_table

    source = open_table(path)
    column, _, wanted = (label, "", "") if label in source.names else label.rpartition("=")
    require_column("label", column or wanted, source.names, path)
    cells = [clean_cell(cell) for part in source.batches([column]) for cell in part[0].to_pylist()]
    numbers = [int(name) for name in scores.text_columns()["name"]]
    texts = [cells[number] for number in numbers]
    known = torch.tensor([bool(text) for text in texts])
    counts = Counter(filter(None, texts))
    positive = choose_positive(column, wanted, counts)
    score = scores.score.nan_to_num(nan=torch.inf)
    is_positive = torch.tensor([text == positive for text in texts])
    return Comparison(
        column=column,
        positive=positive,
        figures=measure_detection(score[known], is_positive[known]),
        is_learned=column in model.spec.column_names,
    )


def clean_cell(value: object) -> str:
    """A cell as a text; empty if it has no value."""
    text = "" if value is None else str(value).strip()
    return "" if is_missing(text) else text


def choose_positive(column: str, wanted: str, counts: Mapping[str, int]) -> str:
    """The value that marks a row: the one that was asked for, or the less frequent of two.

    Raises:
        UsageError: no row has it, or all have, or there are not two.
    """
    values = sorted(counts, key=lambda text: (counts[text], text))
    shown = list_some(values, MAX_NAMED)
    if wanted and wanted not in counts:
        raise UsageError(f"{mark(f'label={column}={wanted}')}: no row has it; there is {shown}")
    if len(values) < 2:  # noqa: PLR2004
        raise UsageError(f"{mark(f'label={column}')}: all rows have the same value, {shown}")
    if not wanted and len(values) > 2:  # noqa: PLR2004
        example = mark(f"label={column}={values[0]}")
        raise UsageError(
            f"{mark(f'label={column}')}: {len(values):,} values ({shown}): say which one marks a "
            f"strange row, as in {example}"
        )
    return wanted or values[0]
