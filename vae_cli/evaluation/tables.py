"""How good synthetic rows of a table are, each figure beside that of real rows as its ceiling.

    column shapes   the distributions of single columns are alike          similarity.py
    pair trends     pairs of columns are related alike                     similarity.py
    usefulness      what trees learn from them is true of real rows        usefulness.py
    copies          the share that is nearer to training rows than to others, at best ½    copies.py

The ceiling is the same figure of real rows in place of synthetic ones: of held-out rows, which a
perfect model could have made, and for the usefulness, which is scored on these, of training rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, assert_never, final

import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.data.spelling import TIME_SIGNS
from vae_cli.data.split import InMemory
from vae_cli.errors import shorten
from vae_cli.evaluation.copies import find_copies
from vae_cli.evaluation.figures import (
    Absent,
    Figure,
    Figures,
    all_absent,
    average,
    jackknife_error,
    make_figure,
)
from vae_cli.evaluation.samples import choose_items, sample_absence
from vae_cli.evaluation.similarity import Similarity, compare_shapes, compare_trends, vary
from vae_cli.evaluation.subject import Subject
from vae_cli.evaluation.usefulness import MAX_CHOSEN_CLASSES, choose_targets, predict_column
from vae_cli.latent.decoding import sample_parts
from vae_cli.model import LatentSampler
from vae_cli.noise import Noise, derive_seed

MAX_COMPARED = 20_000  # rows of each table whose shapes and trends are compared
MAX_LEARNED = 10_000  # rows that trees learn from; with more, scikit-learn sets some aside
MAX_NEAREST = 5_000  # rows of each table whose distances are compared
SECOND, DAY = 1.0, 86_400.0
MISSING = "pip install scikit-learn to have it"
TABLE_NAMES = tuple(
    f"{name}{end}"
    for name in ("column_shapes", "pair_trends", "usefulness", "copies")
    for end in ("", "_real")
)


@final
@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """Which rows are synthetic, and what they are to be useful for.

    Attributes:
        sampler: the name of the source of their latents.
        source: of their latents; None is the prior.
        target: the name of the column that is to be predicted; empty for the mean over columns.
    """

    sampler: str = "prior"
    source: LatentSampler | None = None
    target: str = ""


FROM_THE_PRIOR = Synthesis()


@final
@dataclass(frozen=True, kw_only=True)
class Tables:
    """Rows that are compared, in random order: float64 `(N, D)` each.

    Attributes:
        columns: D of them.
        train: real rows that the model has seen.
        test: real rows that it has not seen.
        synthetic: as many as `test`, or as training rows that trees learn from.
    """

    columns: tuple[Column, ...]
    train: Tensor
    test: Tensor
    synthetic: Tensor


@final
class Rows(NamedTuple):
    """Rows `(N, D)` that are compared with those of the training, and what they are."""

    values: Tensor
    name: str


@final
@dataclass(frozen=True, kw_only=True)
class Measure:
    """How alike two tables are in one respect.

    Attributes:
        compare: two tables with these columns.
        scores: what is averaged.
        noun: of what the scores are.
        absence: why there is none.
    """

    compare: Callable[[Tensor, Tensor, Sequence[Column]], Similarity]
    scores: str
    noun: str
    absence: str


MEASURES = {
    "column_shapes": Measure(
        compare=compare_shapes,
        scores="KSComplement and TVComplement",
        noun="columns",
        absence="no column has values in both tables",
    ),
    "pair_trends": Measure(
        compare=compare_trends,
        scores="CorrelationSimilarity and ContingencySimilarity",
        noun="pairs, those that are associated",
        absence="no two columns are associated in the training rows",
    ),
}


@torch.no_grad()
def table_figures(subject: Subject, seed: int, synthesis: Synthesis = FROM_THE_PRIOR) -> Figures:
    """All figures of the synthetic rows of a model of a table.

    Args:
        subject: the model and the data.
        seed: of the synthetic rows, and of which rows they are compared with.
        synthesis: which rows are synthetic, and which column is to be predicted.
    """
    reason = sample_absence(subject, needs_labels=False)
    if reason is not None:
        return all_absent(TABLE_NAMES, reason)
    tables = draw_tables(subject, seed, synthesis)
    if tables.synthetic.isinf().any():
        return all_absent(TABLE_NAMES, "some synthetic values are infinite")
    return {
        **similarity_figures(tables, seed),
        **usefulness_figures(tables, seed, synthesis.target),
        **copy_figures(tables),
    }


def draw_tables(subject: Subject, seed: int, synthesis: Synthesis) -> Tables:
    """Random real rows of both parts of the data, and synthetic ones."""
    train, test = (
        choose_rows(split, derive_seed(seed, name))
        for split, name in (
            (subject.train, "training rows"),
            (subject.test.split, "test rows"),
        )
    )
    count = max(len(test), min(len(train), MAX_LEARNED))
    noise = Noise(derive_seed(seed, "synthetic rows"), subject.model.device)
    model, source = subject.model, synthesis.source
    parts = sample_parts(model, count, noise, with_spread=True, source=source)
    synthetic = torch.cat([model.codec.decode(part) for part in parts])
    columns = subject.test.spec.columns
    written = round_as_written(synthetic, columns)
    return Tables(columns=columns, train=train, test=test, synthetic=written)


def round_as_written(rows: Tensor, columns: Sequence[Column]) -> Tensor:
    """Rows `(N, D)` as they are read from a file of synthetic rows: with the digits of a cell.

    Without it, a number between two that occur would count as another value.
    """
    rounded = [round_values(values, column) for values, column in zip(rows.T, columns, strict=True)]
    return torch.stack(rounded, 1)


def round_values(values: Tensor, column: Column) -> Tensor:
    """The values `(N,)` that the cells of a column can have."""
    match column.kind:
        case "integer":
            return values.round()
        case "number":
            decimals = column.format.decimals
            return values if decimals is None else values.round(decimals=decimals)
        case "date":
            step = DAY if is_day(column.format.date) else SECOND
            return values.div(step).floor() * step
        case "category" | "constant":
            return values
        case _:
            assert_never(column.kind)


def is_day(pattern: str) -> bool:
    """Whether the cells of a date, spelled like this, have no time; without a pattern they do."""
    return bool(pattern) and TIME_SIGNS.search(pattern) is None


def choose_rows(split: InMemory, seed: int) -> Tensor:
    """A random part of the rows, in the units of the data: float64 `(N, D)`."""
    return split.items_at(choose_items(len(split), MAX_COMPARED, seed)).double()


def similarity_figures(tables: Tables, seed: int) -> Figures:
    """The shapes of columns and the trends of pairs, compared with those of the training rows."""
    figures: Figures = {}
    compared = {
        "": Rows(tables.synthetic[: len(tables.test)], "synthetic"),
        "_real": Rows(tables.test, "held-out"),
    }
    for name, measure in MEASURES.items():
        for end, rows in compared.items():
            figures[name + end] = compare_tables(measure, tables, rows, seed)
    return figures


def compare_tables(measure: Measure, tables: Tables, rows: Rows, seed: int) -> Figure | Absent:
    """How alike some rows are to the training rows."""
    sets, columns = (tables.train, rows.values), tables.columns
    found = measure.compare(*sets, columns)
    if not found.scored:
        return Absent(measure.absence)

    def recompute(first: Tensor, second: Tensor) -> float:
        return measure.compare(first, second, columns).value

    return make_figure(
        found.value,
        jackknife_error(recompute, sets, derive_seed(seed, "jackknife")),
        f"mean of {measure.scores} (SDMetrics) over {found.scored:,} of {found.total:,} "
        f"{measure.noun}; {len(rows.values):,} {rows.name} rows, {len(tables.train):,} of the "
        f"training; lowest is {found.lowest}",
    )


def usefulness_figures(tables: Tables, seed: int, target: str) -> Figures:
    """How well trees that learned from synthetic rows, or from training rows, predict test rows."""
    names = ("usefulness", "usefulness_real")
    targets = choose_targets(tables.columns, target, derive_seed(seed, "targets"))
    reason = usefulness_absence(tables.columns, targets)
    if reason is not None:
        return all_absent(names, reason)
    count = min(len(tables.train), MAX_LEARNED)
    return {
        name: score_prediction(tables, rows[:count], targets, f"{count:,} {kind} rows", seed)
        for name, rows, kind in zip(
            names, (tables.synthetic, tables.train), ("synthetic", "training"), strict=True
        )
    }


def usefulness_absence(columns: Sequence[Column], targets: Sequence[int]) -> str | None:
    """Why no column can be predicted; None if one can."""
    if len(vary(columns)) == 1:
        return "there is one column, and none to predict it from"
    if not targets:
        return f"each column has more than {MAX_CHOSEN_CLASSES} categories: name a target"
    try:
        import sklearn  # noqa: F401
    except ImportError:
        return MISSING
    return None


def score_prediction(
    tables: Tables, fit: Tensor, targets: Sequence[int], what: str, seed: int
) -> Figure | Absent:
    """The score of trees that learned from some rows, the mean over columns; see usefulness.py."""
    test = tables.test[:MAX_LEARNED]
    found = [predict_column(fit, test, tables.columns, place) for place in targets]
    known = [one for one in found if one is not None]

    def mean_score(places: Tensor) -> float:
        return torch.tensor([one.score(places) for one in known]).nanmean().item()

    places = torch.arange(len(test))
    name = tables.columns[targets[0]].name
    about = shorten(name) if len(targets) == 1 else f"{len(targets)} columns, the mean"
    return make_figure(
        mean_score(places),
        jackknife_error(mean_score, (places,), derive_seed(seed, "jackknife")),
        f"R², or area under the ROC curve of classes, of trees that learned from {what}: {about}; "
        f"{len(test):,} test rows",
    )


def copy_figures(tables: Tables) -> Figures:
    """The share of synthetic rows, and of test rows, that are like copies.

    Each half of the test rows is compared with other training rows and with the other half.
    """
    train, test = tables.train, tables.test
    count, half = (min(limit, MAX_NEAREST) for limit in (len(test), len(test) // 2))
    first, second = test[:half], test[half : 2 * half]
    compared = (
        ("copies", "synthetic", [(test[:count], tables.synthetic[:count])]),
        ("copies_real", "held-out", [(first, second), (second, first)]),
    )
    return {name: copy_figure(train, pairs, tables.columns, kind) for name, kind, pairs in compared}


def copy_figure(
    train: Tensor, pairs: Sequence[tuple[Tensor, Tensor]], columns: Sequence[Column], kind: str
) -> Figure | Absent:
    """The share of rows that are nearer to a training row than to one of as many held-out rows.

    Args:
        train: `(N, D)`, of which each pair has a part of its own if there are enough.
        pairs: of held-out rows, and of the rows that the figure is about.
        columns: D of them.
        kind: what these rows are.
    """
    found = []
    for number, (held_out, rows) in enumerate(pairs):
        size = min(len(held_out), len(train))
        some = train.roll(-number * size, 0)[:size]
        found.append(find_copies(some, held_out[:size], rows, columns))
    return average(
        torch.cat(found),
        f"share of {sum(map(len, found)):,} {kind} rows that are nearer to one of {size:,} "
        "training rows than to one of as many others; 0.5 is ideal",
    )
