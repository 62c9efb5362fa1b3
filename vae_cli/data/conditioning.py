"""What the items of a data set are conditioned on: their class, or other facts about them.

A data set of a conditional model has, beside each item, one row of facts: float64 `(N, C)`, a
number for each column of `Spec.condition`, which means what the numbers of a table mean
(columns.py). NaN is a fact that is not known. There are three kinds of facts:

    a column of a table       is taken out of its rows, and is no longer learned
    the classes               under the name `label`, or that of their column in a table
    a known factor            of generated images, or of an array file

`condition_on` makes such a data set for a training, and `condition_like` one for a trained model,
for which the same facts are found in other data. Whoever has an item of a table has its conditions
in the same row: such a whole row has the columns that are learned, and then those of the condition.
"""

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.cells import NO_CLASS
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Dataset, Factors, Parts, Spec
from vae_cli.data.split import InMemory
from vae_cli.data.streamed import AnySplit, SplitT
from vae_cli.errors import UsageError, VAEWarning, join_or, list_some, mark, shorten

Values = np.ndarray[Any, np.dtype[Any]]
LABEL = "label"  # the name of the classes, as a condition
MAX_NAMED = 5  # in a message
NO_FACTORS = Factors((), torch.empty(0, 0, dtype=torch.int64), ())


def condition_on(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The same data set, whose parts have rows of these facts; the same one if there are none.

    Raises:
        UsageError: the data have no such fact, or nothing is left to learn.
    """
    if not names:
        return dataset
    return ConditionedDataset(dataset, condition_columns(dataset, names))


def condition_like(dataset: Dataset, spec: Spec) -> Dataset:
    """The same data set with the facts that a trained model was told of its items.

    Args:
        dataset: a table is one of the columns of `reading_spec(spec)`.
        spec: what the model learned.

    Raises:
        UsageError: the rows of a table lack one.
    """
    return ConditionedDataset(dataset, spec.condition, like=spec) if spec.condition else dataset


def condition_columns(dataset: Dataset, names: Sequence[str]) -> tuple[Column, ...]:
    """What is known about the items under these names.

    Raises:
        UsageError: nothing is known under a name, or it is named twice.
    """
    known = known_columns(dataset, names)
    for name in names:
        if name not in known:
            raise UsageError(refuse_name(dataset.spec, name, list(known)))
    found = tuple(known[name] for name in names)
    if repeated := [one.name for place, one in enumerate(found) if one in found[:place]]:
        raise UsageError(f"{mark('data.condition')} names {repeated[0]} twice")
    return found


def known_columns(dataset: Dataset, names: Sequence[str]) -> dict[str, Column]:
    """The facts that a data set has, by the names that they go by.

    Factors may be known only after the items were read, so they are looked for if a name is no
    other fact.
    """
    spec = dataset.spec
    known = {column.name: column for column in spec.columns}
    if classes := tuple(one for one in spec.classes if one != NO_CLASS):
        column = Column(name=spec.table.label or LABEL, kind="category", categories=classes)
        known = {LABEL: column, column.name: column} | known
    if not known.keys() >= set(names) and dataset.has_factors:
        factors = dataset.factors(dataset.test())
        levels = {} if factors is None else factors.levels_by_name()
        known = {
            name: Column(name=name, kind="category", categories=texts)
            for name, texts in levels.items()
        } | known
    return known


def refuse_name(spec: Spec, name: str, known: Sequence[str]) -> str:
    """What to say about a condition that data do not have."""
    said = f"{mark('data.condition')} {shorten(name)}"
    rules = spec.table
    if name == rules.id:
        return f"{said}: the column only tells rows apart, so it says nothing about others"
    if name in rules.dropped:
        kind = mark(f"data.columns={name}=category")
        return f"{said}: the column is left out: leave out {mark('data.drop')}, or try {kind}"
    if near := difflib.get_close_matches(name, known, 1):
        return f"{said}: {spec.name} has no such column; did you mean {near[0]}?"
    has = f"it has {join_or(known[:MAX_NAMED])}" if known else "its items have no classes"
    return f"{said}: {spec.name} has no {shorten(name)}: {has}"


def class_place(spec: Spec) -> int | None:
    """The place in a condition of the classes; None if they are not among its facts."""
    names = [column.name for column in spec.condition]
    label = spec.table.label or LABEL
    has_classes = spec.table.label or spec.is_image or spec.classes  # or a column is named so
    return names.index(label) if has_classes and label in names else None


def row_conditions(spec: Spec) -> tuple[Column, ...]:
    """The columns of the condition that are read as columns of a table: all but the classes."""
    if spec.is_image:
        return ()
    place = class_place(spec)
    return tuple(column for at, column in enumerate(spec.condition) if at != place)


def reading_spec(spec: Spec) -> Spec:
    """What is read of a table for a model: what it learned, and then the condition."""
    beside = row_conditions(spec)
    if not beside:
        return spec
    columns = (*spec.columns, *beside)
    return replace(spec, shape=(len(columns),), columns=columns)


def learned_spec(spec: Spec) -> Spec:
    """What is read of a table whose conditions are given beside it: what the model learned."""
    told = (column.name for column in spec.condition)  # said otherwise, so no column is wanted
    table = replace(
        spec.table,
        means=spec.table.means[: len(spec.columns)],
        dropped=(*spec.table.dropped, *told),
    )
    return replace(spec, condition=(), table=table)


def is_whole(spec: Spec, width: int) -> bool:
    """Whether rows of so many columns are whole rows, which have conditions too."""
    return bool(spec.condition) and width == len(spec.columns) + len(spec.condition)


def whole_columns(spec: Spec, width: int) -> tuple[Column, ...]:
    """The columns of rows of a width: those that are learned, or of whole rows."""
    return (*spec.columns, *spec.condition) if is_whole(spec, width) else spec.columns


def in_file_order(spec: Spec, rows: ArrayLike) -> tuple[tuple[Column, ...], Values]:
    """The columns of rows, or of whole rows, as the file had them, and the rows `(..., D)` so."""
    values = np.asarray(rows)
    columns = whole_columns(spec, values.shape[-1])
    if not spec.order or len(spec.order) != len(columns):
        return columns, values
    return tuple(columns[place] for place in spec.order), values[..., list(spec.order)]


def join_condition(rows: Tensor, labels: Sequence[str], spec: Spec, source: object) -> Tensor:
    """Whole rows for a model from what was read of a table.

    Args:
        rows: of the columns of `reading_spec(spec)`.
        labels: the class of each row; empty if the classes are not known.
        spec: what the model learned.
        source: of the rows, for messages.

    Raises:
        UsageError: the model is told the classes, and the table has no such column.
    """
    place = class_place(spec)
    if place is None:
        return rows
    column = spec.condition[place]
    if not labels:
        raise UsageError(refuse_without(source, column))
    known = {text: float(code) for code, text in enumerate(column.categories)}
    codes = torch.tensor([known.get(label, torch.nan) for label in labels], dtype=torch.float64)
    at = len(spec.columns) + place
    return torch.cat([rows[:, :at].double(), codes[:, None], rows[:, at:].double()], 1)


def refuse_without(source: object, column: Column) -> str:
    """What to say about a table that lacks the classes."""
    return (
        f"{source} lacks {column.name}, which the model is told of each row: add the column; its "
        "cells may be empty where it is not known"
    )


def class_codes(labels: Tensor, classes: Sequence[str], column: Column) -> Tensor:
    """The categories of a column that the classes of items are, with NaN for none: `(N,)`.

    Args:
        labels: int64 `(N,)`, indices into the classes; below 0 for an item without one.
        classes: of the items, which may be others than those of the column.
        column: the classes that a model knows.
    """
    known = {text: float(code) for code, text in enumerate(column.categories)}
    codes = torch.tensor([*(known.get(text, torch.nan) for text in classes), torch.nan])
    return codes.double()[torch.where(labels < 0, len(classes), labels)]


@final
class ConditionedDataset(Dataset):
    """A data set with rows of facts beside its items.

    Args:
        dataset: the items.
        columns: what the facts are.
        like: what a trained model learned, for which they are looked for in other data; None for a
            training.

    Raises:
        UsageError: nothing is left to learn, or the rows of a table lack a fact.
    """

    def __init__(
        self, dataset: Dataset, columns: tuple[Column, ...], *, like: Spec | None = None
    ) -> None:
        self.dataset, self.columns, self.like = dataset, columns, like
        self.has_files, self.path = dataset.has_files, dataset.path
        own = [column.name for column in dataset.spec.columns]
        if like is not None:  # a table was read in this order, and an array has no names
            reading_spec(like).require_shape(dataset.spec.shape, dataset.spec.name)
            own = [column.name for column in reading_spec(like).columns]
        wanted = [column.name for column in (columns if like is None else row_conditions(like))]
        self.taken = {name: own.index(name) for name in wanted if name in own}
        self.learned = [place for place, name in enumerate(own) if name not in self.taken]
        if own and not self.learned:
            raise UsageError(
                f"{mark('data.condition')}: no column of {dataset.spec.name} is left to learn"
            )
        place = class_place(like or self.spec)
        self.label = None if place is None else columns[place]
        if like is not None and self.label is not None:
            self._require_classes(self.label)

    def _require_classes(self, label: Column) -> None:
        """Check that the rows of a table have a class, and warn about other items without one.

        Raises:
            UsageError: they have not.
        """
        spec = self.dataset.spec
        if not spec.classes and not spec.is_image:
            raise UsageError(refuse_without(spec.name, label))
        unknown = [one for one in spec.classes if one not in (*label.categories, NO_CLASS)]
        if unknown:
            named = list_some(unknown, MAX_NAMED)
            text = f"{spec.name}: the model has never seen the class {named}, which counts as none"
            warnings.warn(VAEWarning(text), stacklevel=4)
        elif not spec.classes:
            text = f"{spec.name} has no classes, so the {label.name} of each item counts as none"
            warnings.warn(VAEWarning(text), stacklevel=4)

    @property
    def spec(self) -> Spec:  # type: ignore[override]  # it is known when the parts have been read
        """What the items are, with the columns of the condition."""
        spec = self.dataset.spec
        if not self.taken:
            return replace(spec, condition=self.columns)
        order = [*self.learned, *self.taken.values()]
        means = tuple(spec.table.means[place] for place in order if spec.table.means)
        return replace(
            spec,
            shape=(len(self.learned),),
            columns=tuple(spec.columns[place] for place in self.learned),
            condition=self.columns,
            order=self._order() if self.like is None else self.like.order,
            table=replace(spec.table, means=means),
        )

    def _order(self) -> tuple[int, ...]:
        """The places in whole rows of the columns of the table; the classes are the last."""
        last = len(self.dataset.spec.columns)
        told = [self.taken.get(column.name, last) for column in self.columns]
        places = [*self.learned, *told]
        return tuple(sorted(range(len(places)), key=places.__getitem__))

    def read(self) -> Parts:
        """The parts of the data set, each with its rows."""
        train, test, validation = self.dataset.parts
        known: dict[int, Tensor] = {}  # parts that share their items share them afterwards too
        kept = None if validation is None else self._condition(validation, known)
        return Parts(self._condition(train, known), self._condition(test, known), kept)

    def _condition(self, part: SplitT, known: dict[int, Tensor]) -> SplitT:
        """A part with its facts, and without the columns that they are."""
        factors = self._factors_of(part)
        facts = [self._fact(part, column, factors) for column in self.columns]
        part = replace(part, condition=torch.stack(facts, 1))
        if not (self.taken and isinstance(part, InMemory)):
            return part
        place = id(part.items)
        if place not in known:
            known[place] = part.items[:, self.learned]
        return replace(part, items=known[place], file=None)

    def _fact(self, part: AnySplit, column: Column, factors: Factors | None) -> Tensor:
        """One fact about each item of a part, float64 `(N,)`."""
        if column.name in self.taken and isinstance(part, InMemory):
            return part.items[part.rows, self.taken[column.name]].double()
        unknown = torch.full((len(part),), torch.nan, dtype=torch.float64)
        if column is self.label:
            labels, classes = part.labels, self.dataset.spec.classes
            return class_codes(labels, classes, column) if len(labels) else unknown
        if factors is None or column.name not in factors.names:
            return unknown
        place = factors.names.index(column.name)
        return class_codes(factors.values[:, place], factors.levels[place], column)

    def _factors_of(self, part: AnySplit) -> Factors | None:
        """The factors of a part; a warning says if a model needs others."""
        if not isinstance(part, InMemory):
            return None
        factors = self.dataset.factors(part)
        known = {*self.taken, self.label.name if self.label else "", *(factors or NO_FACTORS).names}
        lacking = [column.name for column in self.columns if column.name not in known]
        if lacking:
            named = list_some(lacking, MAX_NAMED)
            text = f"{self.dataset.spec.name} does not tell {named}, which counts as not known"
            warnings.warn(VAEWarning(text), stacklevel=5)
        return factors

    def in_memory(self, part: AnySplit) -> InMemory:
        """A part in memory, or a random sample of it."""
        return self.dataset.in_memory(part)

    def source_files(self) -> list[Path]:
        """The files that the items come from."""
        return self.dataset.source_files()

    def names(self, split: InMemory) -> list[str]:
        """The names of a part's items."""
        return self.dataset.names(split)

    def ids(self, split: InMemory) -> list[str]:
        """What a table calls the rows of a part."""
        return self.dataset.ids(split)

    def factors(self, split: InMemory) -> Factors | None:
        """The factors of a part's items; those of rows without some of their columns are lost."""
        return None if self.taken else self.dataset.factors(split)
