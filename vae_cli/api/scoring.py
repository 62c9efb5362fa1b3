"""How strange items are to a trained model."""

import dataclasses
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from vae_cli.api.evaluation import open_subject
from vae_cli.api.model import TrainedModel
from vae_cli.data.catalogue import open_dataset_for
from vae_cli.data.dataset import NamedSplit, Progress, ignore_progress
from vae_cli.data.source import is_picture
from vae_cli.data.split import InMemory
from vae_cli.errors import VAEWarning
from vae_cli.evaluation.likelihood import encode
from vae_cli.evaluation.report import Stage, ignore_stage
from vae_cli.evaluation.scores import (
    SAMPLES,
    Measures,
    ScoreName,
    choose_score,
    compute_score,
    join,
    measure,
    percentiles,
)
from vae_cli.files import escape_formula, to_utf8
from vae_cli.rendering.kind import Adjustment

MAX_HELD_OUT = 2000  # items that others are compared with


@final
@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of N items.

    Attributes:
        by: the score that orders them.
        score: higher for stranger items, float64 `(N,)`.
        percentile: the percentage of held-out items that are less strange.
        measures: everything that is known about the items.
        held_out: the number of held-out items that they are compared with.
        parts: the items themselves, and their names.
        is_coded: whether the likelihood is that of a code for pixels with 256 values.
    """

    by: ScoreName
    score: Tensor
    percentile: Tensor
    measures: Measures
    held_out: int
    parts: list[NamedSplit]
    is_coded: bool

    def __len__(self) -> int:
        return len(self.score)

    def order(self) -> list[int]:
        """The places of the items, the strangest first; one without a number is strangest."""
        comparable = self.score.nan_to_num(nan=torch.inf)
        places: list[int] = comparable.argsort(descending=True, stable=True).tolist()
        return places

    def text_columns(self) -> dict[str, list[str]]:
        """The columns of text that are known: name and label."""
        parts = [part.texts(range(len(part))) for part in self.parts]
        return {column: [text for part in parts for text in part[column]] for column in parts[0]}

    def title(self, place: int) -> str:
        """The name of an item with its class, if it is known, for a person."""
        return " ".join(column[place] for column in self.text_columns().values())

    def columns(self) -> dict[str, Tensor]:
        """Every number about the items, by name, `(N,)` each."""
        found = {
            "percentile": self.percentile,
            "score": self.score,
            "log_likelihood": self.measures.bound,
            "elbo": self.measures.elbo,
            "distortion": self.measures.distortion,
            "kl": self.measures.kl,
            "neighbour_distance": self.measures.distance,
        }
        return found | ({"code_length": self.measures.code} if len(self.measures.code) else {})

    def rows(self) -> Iterator[list[str]]:
        """The rows of a table, the strangest item first: `text_columns`, and then `columns`."""
        texts, columns = self.text_columns().values(), self.columns().values()
        for place in self.order():
            yield [
                *(escape_formula(to_utf8(column[place])) for column in texts),
                *(f"{column[place].item():.9g}" for column in columns),
            ]

    def take(self, places: list[int]) -> Tensor:
        """The items at some places, `(M, ...)`; see `InMemory.items_at`."""
        bounds = torch.tensor([len(part) for part in self.parts]).cumsum(0)
        found = []
        for place in places:
            number = int(torch.searchsorted(bounds, place, right=True))
            part = self.parts[number].split
            found.append(part.items_at([place - int(bounds[number]) + len(part)]))
        return torch.cat(found)


def score_items(
    model: TrainedModel,
    data: str | None = None,
    *,
    by: ScoreName | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    invert: bool = False,
    find_object: bool = False,
    stage: Stage = ignore_stage,
) -> Scores:
    """Score every item of some data, or of the test set of the run.

    Args:
        model: a trained model, whose data must be there, because the items are compared with them.
        data: the name of a data set, or the path of a folder, picture, array or table.
        by: the score that orders the items; None is `adjusted` for images and `likelihood` for
            rows.
        samples: importance samples of each item.
        seed: of the noise.
        invert: whether dark and light are exchanged in one picture.
        find_object: whether only what differs from the border of one picture is read.
        stage: shows the progress of a part of the work with a name.

    Raises:
        UsageError: the data are missing or do not fit the model, or no item is held out.

    Example:
        >>> from vae_cli import load
        >>> model = load()
        >>> scores = score_items(model, samples=2)
        >>> len(scores) == len(scores.order()) == len(model.held_out())
        True
    """
    chosen = choose_score(by, is_image=model.spec.is_image)
    with stage("reading") as progress:
        subject = open_subject(model, progress)
        if data is None:
            parts = [subject.test]
        elif is_picture(data):
            parts = [read_picture(model, Path(data), invert=invert, find_object=find_object)]
        else:
            parts = read_parts(model, data, progress)
    with stage("encoding") as progress:
        train = encode(model.model, subject.train, progress).mean
    found = []
    for part in parts:
        with stage("scoring") as progress:
            found.append(measure(model.model, part.split, train, samples, seed, progress))
    items = held_out = join(found)
    if data is not None:
        with stage("held-out items") as progress:
            reference = choose_held_out(subject.test.split)
            held_out = measure(model.model, reference, train, samples, seed, progress)
    score = compute_score(chosen, items, held_out)
    usual = compute_score(chosen, held_out, held_out)
    return Scores(
        by=chosen,
        score=score,
        percentile=percentiles(score, usual),
        measures=items,
        held_out=len(usual),
        parts=parts,
        is_coded=model.model.likelihood.is_discrete,
    )


def choose_held_out(test: InMemory) -> InMemory:
    """The held-out items that others are compared with: all, or a fixed random part of many."""
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
    return test.take(order[:MAX_HELD_OUT].sort().values)


def read_picture(model: TrainedModel, path: Path, *, invert: bool, find_object: bool) -> NamedSplit:
    """One picture; a warning says if it looks unlike the training set.

    Raises:
        UsageError: it cannot be read, or does not fit the model.
    """
    adjustment = Adjustment(invert=invert, find_object=find_object)
    found = model.kind.read_files([path], adjustment)
    for hint in found.hints:
        warnings.warn(VAEWarning(hint), stacklevel=2)
    split = model.prepare(InMemory.whole(found.items))
    return NamedSplit(split=split, spec=model.spec, names=found.names)


def read_parts(
    model: TrainedModel, data: str, progress: Progress = ignore_progress
) -> list[NamedSplit]:
    """All items of other data.

    Raises:
        UsageError: they cannot be read, or do not fit the model.
    """
    dataset = open_dataset_for(model.spec, data, progress)
    found = map(dataset.describe, dataset.splits().values())
    return [dataclasses.replace(part, split=model.prepare(part.split)) for part in found]
