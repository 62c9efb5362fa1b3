"""What the items of a data set are conditioned on: their class, or other facts about them.

`condition_on` makes a data set whose parts have, beside the items, one row of facts for each item:
float64 `(N, C)`, a number for each column of `Spec.condition`, with NaN where it is not known. They
mean what the numbers of a table mean (columns.py).
"""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from vae_cli.data.columns import Column
from vae_cli.data.dataset import Dataset, Factors, Parts, Spec
from vae_cli.data.split import InMemory
from vae_cli.data.streamed import AnySplit, SplitT
from vae_cli.errors import UsageError, join_or, mark

LABEL = "label"  # the name of the classes, as a condition


def condition_on(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The same data set, whose parts have rows of these facts; the same one if there are none.

    Raises:
        UsageError: the data have no such fact.
    """
    return ConditionedDataset(dataset, names) if names else dataset


def condition_columns(spec: Spec, names: Sequence[str]) -> tuple[Column, ...]:
    """What is known about the items under these names.

    Raises:
        UsageError: nothing is known under a name.
    """
    known = {LABEL: Column(name=LABEL, kind="category", categories=spec.classes)}
    if not spec.classes:
        del known[LABEL]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            has = f"it has {join_or(list(known))}" if known else "its items have no classes"
            has = f"did you mean {close[0]}?" if close else has
            raise UsageError(f"{mark('data.condition')}: {spec.name} has no {name}: {has}")
    return tuple(known[name] for name in names)


def label_rows(part: AnySplit) -> Tensor:
    """The classes of a part as rows of one number, with NaN for an item without a class."""
    labels = part.labels.double()
    return torch.where(labels < 0, torch.nan, labels)[:, None]


@final
class ConditionedDataset(Dataset):
    """A data set with rows of facts beside its items.

    Args:
        dataset: the items.
        names: of the facts.

    Raises:
        UsageError: the data have no such fact.
    """

    def __init__(self, dataset: Dataset, names: Sequence[str]) -> None:
        self.dataset, self.columns = dataset, condition_columns(dataset.spec, names)
        self.has_files, self.path = dataset.has_files, dataset.path

    @property
    def spec(self) -> Spec:  # type: ignore[override]  # it is known when the parts have been read
        """What the items are, with the columns of the condition."""
        return replace(self.dataset.spec, condition=self.columns)

    def read(self) -> Parts:
        """The parts of the data set, each with its rows."""
        train, test, validation = self.dataset.parts
        kept = None if validation is None else self.with_rows(validation)
        return Parts(self.with_rows(train), self.with_rows(test), kept)

    def with_rows(self, part: SplitT) -> SplitT:
        """A part with its rows."""
        return replace(part, condition=label_rows(part))

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
        """The factors of a part's items."""
        return self.dataset.factors(split)
