"""How good synthetic rows of a table are, each figure beside that of real rows as its ceiling.

    column shapes   the distributions of single columns are alike          similarity.py
    pair trends     pairs of columns are related alike                     similarity.py
    usefulness      what trees learn from them is true of real rows        usefulness.py
    copies          the share that is nearer to training rows than to others, at best ½    copies.py

The ceiling is the same figure of real rows in place of synthetic ones: of held-out rows, which a
perfect model could have made, and for the usefulness, which is scored on these, of training rows.

Process 0 draws the synthetic rows. Then all processes have the same rows, and share the trees, the
halves of the jackknife and the rows whose neighbours are looked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import NamedTuple, assert_never, final

import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.data.spelling import TIME_SIGNS
from vae_cli.data.split import InMemory
from vae_cli.errors import shorten
from vae_cli.evaluation.copies import CHUNK_ROWS, find_copies
from vae_cli.evaluation.figures import (
    Absent,
    Figure,
    Figures,
    all_absent,
    average,
    choose_halves,
    jackknife_error,
    make_figure,
)
from vae_cli.evaluation.samples import choose_items, sample_absence
from vae_cli.evaluation.sharing import compute_once, share_rows, wait_for_first
from vae_cli.evaluation.similarity import Similarity, compare_shapes, compare_trends, vary
from vae_cli.evaluation.subject import Subject
from vae_cli.evaluation.usefulness import MAX_CHOSEN_CLASSES, choose_targets, predict_column
from vae_cli.latent.decoding import sample_parts
from vae_cli.model import Condition, LatentModel, LatentSampler
from vae_cli.noise import Noise, derive_seed
from vae_cli.training.world import ALONE, World

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
def table_figures(
    subject: Subject, seed: int, synthesis: Synthesis = FROM_THE_PRIOR, world: World = ALONE
) -> Figures:
    """All figures of the synthetic rows of a model of a table.

    Args:
        subject: the model and the data.
        seed: of the synthetic rows, and of which rows they are compared with.
        synthesis: which rows are synthetic, and which column is to be predicted.
        world: the processes that compute them together; the first knows the source of the rows.
    """
    reason = sample_absence(subject, needs_labels=False)
    if reason is not None:
        return all_absent(TABLE_NAMES, reason)
    tables = draw_tables(subject, seed, synthesis, world)
    if tables.synthetic.isinf().any():
        return all_absent(TABLE_NAMES, "some synthetic values are infinite")
    return {
        **similarity_figures(tables, seed, world),
        **usefulness_figures(tables, seed, synthesis.target, world),
        **copy_figures(tables, world),
    }


def draw_tables(subject: Subject, seed: int, synthesis: Synthesis, world: World) -> Tables:
    """Random real rows of both parts, and synthetic ones, which all processes have.

    Those of a conditional model have the conditions of real rows, of both parts in turn, so that
    they are as near to the ones as to the others. The columns of the condition are compared too:
    whether the others go with them is what such a model has to learn.
    """
    condition, spec = subject.model.condition, subject.test.spec
    (train, known), (test, held_out) = (
        choose_rows(split, derive_seed(seed, name), condition)
        for split, name in (
            (subject.train, "training rows"),
            (subject.test.split, "test rows"),
        )
    )
    columns, count = (*spec.columns, *spec.condition), max(len(test), min(len(train), MAX_LEARNED))
    synthetic = torch.empty(count, len(columns), dtype=torch.float64)
    if world.rank == 0:
        noise = Noise(derive_seed(seed, "synthetic rows"), subject.model.device)
        y = take_turns(known, held_out, count)
        synthetic = draw_rows(subject.model, count, noise, synthesis.source, y)
    wait_for_first(world)
    world.copy([synthetic])
    written = round_as_written(synthetic, columns)
    return Tables(columns=columns, train=train, test=test, synthetic=written)


def draw_rows(
    model: LatentModel, count: int, noise: Noise, source: LatentSampler | None, y: Tensor | None
) -> Tensor:
    """Synthetic rows in the units of the data, with their conditions `y`: float64 `(count, D)`."""
    told = None if y is None else y.to(model.device)
    parts = sample_parts(model, count, noise, with_spread=True, source=source, y=told)
    return beside(torch.cat([model.codec.decode(part) for part in parts]), y, model.condition)


def beside(rows: Tensor, y: Tensor | None, condition: Condition | None) -> Tensor:
    """Rows with the columns of their conditions, if there are any."""
    if y is None or condition is None:
        return rows
    return torch.cat([rows, condition.codec.decode(y)], 1)


def take_turns(first: Tensor | None, second: Tensor | None, count: int) -> Tensor | None:
    """As many rows, one of each set in turn, again from the start if there are few."""
    if first is None or second is None:
        return None
    places = torch.arange(count)
    own = places // 2
    is_first = (places % 2 == 0)[:, None]
    return torch.where(is_first, first[own % len(first)], second[own % len(second)])


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


def choose_rows(
    split: InMemory, seed: int, condition: Condition | None
) -> tuple[Tensor, Tensor | None]:
    """A random part of the rows, in the units of the data: float64 `(N, D)`.

    Those of a conditional model have the columns of their conditions too, which are returned as
    the networks take them besides.
    """
    order = choose_items(len(split), MAX_COMPARED, seed)
    y = split.take(order).condition
    return beside(split.items_at(order).double(), y, condition), y


def similarity_figures(tables: Tables, seed: int, world: World = ALONE) -> Figures:
    """The shapes of columns and the trends of pairs, compared with those of the training rows."""
    figures: Figures = {}
    compared = {
        "": Rows(tables.synthetic[: len(tables.test)], "synthetic"),
        "_real": Rows(tables.test, "held-out"),
    }
    for name, measure in MEASURES.items():
        for end, rows in compared.items():
            figures[name + end] = compare_tables(measure, tables, rows, seed, world)
    return figures


def compare_tables(
    measure: Measure, tables: Tables, rows: Rows, seed: int, world: World
) -> Figure | Absent:
    """How alike some rows are to the training rows."""
    sets, columns = (tables.train, rows.values), tables.columns
    found = Similarity(*compute_once(lambda: measure.compare(*sets, columns), world))
    if not found.scored:
        return Absent(measure.absence)

    def recompute(first: Tensor, second: Tensor) -> float:
        return measure.compare(first, second, columns).value

    return make_figure(
        found.value,
        jackknife_error(recompute, sets, derive_seed(seed, "jackknife"), world=world),
        f"mean of {measure.scores} (SDMetrics) over {found.scored:,} of {found.total:,} "
        f"{measure.noun}; {len(rows.values):,} {rows.name} rows, {len(tables.train):,} of the "
        f"training; lowest is {found.lowest}",
    )


def usefulness_figures(tables: Tables, seed: int, target: str, world: World = ALONE) -> Figures:
    """How well trees that learned from synthetic rows, or from training rows, predict test rows."""
    names = ("usefulness", "usefulness_real")
    targets = choose_targets(tables.columns, target, derive_seed(seed, "targets"))
    reason = usefulness_absence(tables.columns, targets)
    if reason is not None:
        return all_absent(names, reason)
    count = min(len(tables.train), MAX_LEARNED)
    scores = share_predictions(tables, targets, seed, world)
    return {
        name: describe_prediction(one, tables, targets, f"{count:,} {kind} rows")
        for name, one, kind in zip(names, scores, ("synthetic", "training"), strict=True)
    }


def share_predictions(tables: Tables, targets: Sequence[int], seed: int, world: World) -> Tensor:
    """The scores of trees that learned from synthetic rows, and from training rows.

    Returns:
        For both, for all test rows and then for random halves of them, the score of each target:
        `(2, 1 + HALVES, targets)`; NaN if it has none.
    """
    test, count = tables.test[:MAX_LEARNED], min(len(tables.train), MAX_LEARNED)
    tasks = list(product((tables.synthetic, tables.train), targets))
    halves = choose_halves([len(test)], derive_seed(seed, "jackknife"))
    chosen = [torch.arange(len(test)), *(places for (places,) in halves)]

    def score(own: Tensor) -> Tensor:
        found = [
            predict_column(tasks[number][0][:count], test, tables.columns, tasks[number][1])
            for number in own.tolist()
        ]
        return torch.tensor(
            [[one.score(places) if one else torch.nan for places in chosen] for one in found]
        )

    scores = share_rows(score, torch.arange(len(tasks)), world).view(2, len(targets), -1)
    return scores.mT.contiguous()


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


def describe_prediction(
    scores: Tensor, tables: Tables, targets: Sequence[int], what: str
) -> Figure | Absent:
    """The score of trees that learned from some rows, the mean over columns; see usefulness.py.

    Args:
        scores: of all test rows, and of halves of them: `(1 + HALVES, targets)`.
        tables: of which the test rows are.
        targets: the columns.
        what: the trees learned from.
    """
    value, *halves = [row.nanmean().item() for row in scores]
    name = tables.columns[targets[0]].name
    about = shorten(name) if len(targets) == 1 else f"{len(targets)} columns, the mean"
    return make_figure(
        value,
        torch.tensor(halves, dtype=torch.float64).std().item(),
        f"R², or area under the ROC curve of classes, of trees that learned from {what}: {about}; "
        f"{min(len(tables.test), MAX_LEARNED):,} test rows",
    )


def copy_figures(tables: Tables, world: World = ALONE) -> Figures:
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
    return {
        name: copy_figure(train, pairs, tables.columns, kind, world)
        for name, kind, pairs in compared
    }


def copy_figure(
    train: Tensor,
    pairs: Sequence[tuple[Tensor, Tensor]],
    columns: Sequence[Column],
    kind: str,
    world: World,
) -> Figure | Absent:
    """The share of rows that are nearer to a training row than to one of as many held-out rows.

    Args:
        train: `(N, D)`, of which each pair has a part of its own if there are enough.
        pairs: of held-out rows, and of the rows that the figure is about.
        columns: D of them.
        kind: what these rows are.
        world: the processes that share them.
    """
    found = []
    for number, (held_out, rows) in enumerate(pairs):
        size = min(len(held_out), len(train))
        some = train.roll(-number * size, 0)[:size]
        find = partial(find_copies, some, held_out[:size], columns=columns)
        found.append(share_rows(find, rows, world, CHUNK_ROWS))
    return average(
        torch.cat(found),
        f"share of {sum(map(len, found)):,} {kind} rows that are nearer to one of {size:,} "
        "training rows than to one of as many others; 0.5 is ideal",
    )
