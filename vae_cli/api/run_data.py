"""The data of a trained model: as its run used them, and whether they are still the same."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar, final

from vae_cli.data.dataset import Dataset, Factors, Parts, Progress
from vae_cli.data.sharing import share_work
from vae_cli.data.source import BUILT_IN_NAMES
from vae_cli.data.split import InMemory
from vae_cli.data.statistics import digest_splits
from vae_cli.data.streamed import AnySplit
from vae_cli.errors import ImportantWarning
from vae_cli.evaluation.subject import Relation
from vae_cli.runs.facts import Facts
from vae_cli.runs.resolve import take_parts
from vae_cli.training.world import LONE_SECONDS, World

DatasetT = TypeVar("DatasetT", bound=Dataset)


@final
class RunData(Dataset):
    """A data set that was opened for a run.

    Data of the run have only the items that it used: `data.limit` of each part. Where they are does
    not matter, if their contents are the same. If the contents changed since the training, a
    warning says so.

    Args:
        dataset: what was opened.
        run: the name of the run.
        facts: what is known about its training.
        is_named: whether the data are those that the run names, whatever is in them now.

    Attributes:
        relation: whether the data are those of the training, or those that the run names but with
            other contents, or others; known as soon as a part was asked for.
    """

    relation: Relation = "other"

    def __init__(
        self,
        dataset: Dataset,
        run: str,
        facts: Facts,
        *,
        is_named: bool,
    ) -> None:
        self.dataset, self.spec = dataset, dataset.spec
        self.run, self.facts, self.is_named = run, facts, is_named
        self.config = facts.config.data
        self.has_files, self.path = dataset.has_files, dataset.path
        self.stamp = dataset.stamp  # of the files when they were opened

    def read(self) -> Parts:
        """The parts, limited if they are those of the run."""
        with warnings.catch_warnings(action="ignore") if self.is_named else nullcontext():
            parts = self.dataset.parts  # the training has warned already
        self.spec = self.dataset.spec  # the range of values is known now
        used = parts.head(self.config.limit or None)
        is_same = self._is_same(used)
        if not (is_same or self.is_named):
            return parts
        self.relation = "own" if is_same else "changed"
        if not is_same:
            text = explain_change(self.run, self.config.name)
            warnings.warn(ImportantWarning(text), stacklevel=2)
        return used

    def in_memory(self, part: AnySplit) -> InMemory:
        """A part in memory, as the other data set does it."""
        return self.dataset.in_memory(part)

    def names(self, split: InMemory) -> list[str]:
        """The names of the other data set."""
        return self.dataset.names(split)

    def ids(self, split: InMemory) -> list[str]:
        """What the other data set calls its rows."""
        return self.dataset.ids(split)

    def factors(self, split: InMemory) -> Factors | None:
        """The factors of the other data set."""
        return self.dataset.factors(split)

    def _is_same(self, parts: Parts) -> bool:
        """Whether parts are those that the run used; their contents are read only if need be."""
        known = self.facts
        count = sum(known.counts) if self.config.validation else known.counts[0]
        if isinstance(parts.train, InMemory) and len(parts.train) != count:
            return False
        if self.is_named and self.config.name in BUILT_IN_NAMES:
            return True
        train, held_out, _ = take_parts(self.dataset, self.config)
        if (len(train), len(held_out)) != known.counts:
            return False
        if not known.data_digest or self.stamp == known.data_stamp:
            return self.is_named
        return digest_splits(train, held_out) == known.data_digest


def explain_change(run: str, data: str) -> str:
    """What it means that the data of a run have changed."""
    return (
        f"the data of run {run} ({data}) have changed since its training: items that it was "
        "trained on may count as held out, and figures are of the new contents"
    )


def read_together(
    name: str, open_data: Callable[[Progress], DatasetT], progress: Progress, world: World
) -> DatasetT:
    """A data set with its parts, which one process on each machine reads for all on it.

    Args:
        name: of the data set, among all that these processes open.
        open_data: opens it, with the progress of what is read.
        progress: called with what was read so far and the total.
        world: the processes, which go on when all have the data set.
    """

    def read(watched: Progress) -> DatasetT:
        dataset = open_data(watched)
        dataset.test()  # reads all parts
        return dataset

    found = share_work(f"data {name}", read, progress)
    world.wait(LONE_SECONDS)
    return found
