"""How strange items are to a trained model."""

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor

from vae_cli.api.evaluation import open_subject
from vae_cli.api.model import TrainedModel
from vae_cli.api.reasons import Reason, Reasons, explain_rows
from vae_cli.api.run_data import read_together
from vae_cli.data.catalogue import open_dataset_for
from vae_cli.data.dataset import NamedSplit, Progress, Stage, ignore_progress, ignore_stage
from vae_cli.data.source import is_picture
from vae_cli.data.split import InMemory
from vae_cli.errors import VAEWarning
from vae_cli.evaluation.fitted_models import find_codes, find_codes_head
from vae_cli.evaluation.likelihood import encode
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
from vae_cli.model import LatentModel
from vae_cli.rendering.kind import Adjustment
from vae_cli.training import ALONE, World

CodePriorName = Literal["uniform", "fitted"]
MAX_HELD_OUT = 2000  # items that others are compared with


@final
@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of N items.

    Of several processes, the first has the scores of all items, and the others have none.

    Attributes:
        by: the score that orders them.
        score: higher for stranger items, float64 `(N,)`.
        percentile: the percentage of held-out items that are less strange.
        measures: everything that is known about the items.
        held_out: the number of held-out items that they are compared with.
        parts: the items themselves, and their names.
        is_coded: whether the likelihood is that of a code for pixels with 256 values.
        code_prior: the prior of codes, which log p(x) and the KL count; None if latents are others.
        threshold: the percentile from which an item counts as strange; None if none was asked for.
        reasons: which columns make some rows strange; None if that was not asked.
        explained: the places of these rows.
    """

    by: ScoreName
    score: Tensor
    percentile: Tensor
    measures: Measures
    held_out: int
    parts: list[NamedSplit]
    is_coded: bool
    code_prior: CodePriorName | None = None
    threshold: float | None = None
    reasons: Reasons | None = None
    explained: tuple[int, ...] = ()

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
        columns = parts[0] if parts else ()
        return {column: [text for part in parts for text in part[column]] for column in columns}

    def title(self, place: int) -> str:
        """The name of an item with its class, if it is known, for a person."""
        return " ".join(column[place] for column in self.text_columns().values())

    @property
    def is_strange(self) -> Tensor | None:
        """Whether each item reaches the threshold, bool `(N,)`; None if there is none."""
        return None if self.threshold is None else self.percentile >= self.threshold

    def reasons_for(self, place: int) -> list[Reason]:
        """What is known about the columns of a row, the most surprising one first."""
        if self.reasons is None or place not in self.explained:
            return []
        return self.reasons.of_row(self.explained.index(place))

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

    def titles(self) -> list[str]:
        """The titles of `rows`."""
        strange = [] if self.is_strange is None else ["strange"]
        return [*self.text_columns(), *self.columns(), *strange, *self._reason_titles()]

    def rows(self) -> Iterator[list[str]]:
        """The rows of a table, the strangest item first.

        They have `text_columns`, `columns`, whether the item is strange if there is a threshold,
        and of rows that were explained the most surprising column and the nll of each.
        """
        texts, columns = self.text_columns().values(), self.columns().values()
        for place in self.order():
            yield [
                *(escape_formula(to_utf8(column[place])) for column in texts),
                *(f"{column[place].item():.9g}" for column in columns),
                *([] if self.is_strange is None else [str(self.is_strange[place].item())]),
                *self._reason_cells(place),
            ]

    def _reason_titles(self) -> list[str]:
        if self.reasons is None:
            return []
        return ["column", "value", "expected", *(f"nll_{one.name}" for one in self.reasons.columns)]

    def _reason_cells(self, place: int) -> list[str]:
        """Empty cells for a row that was not explained, and for a column that was not hidden."""
        if self.reasons is None:
            return []
        found = self.reasons_for(place)
        if not found:
            return [""] * len(self._reason_titles())
        costs = {one.column: f"{one.nll:.6g}" for one in found}
        shown = (found[0].column, found[0].value, found[0].expected)
        return [
            *(escape_formula(to_utf8(text)) for text in shown),
            *(costs.get(column.name, "") for column in self.reasons.columns),
        ]

    def take(self, places: Sequence[int]) -> Tensor:
        """The items at some places, `(M, ...)`; see `InMemory.items_at`."""
        return torch.cat([part.items_at([row]) for part, row in self._find(places)])

    def conditions(self, places: Sequence[int]) -> Tensor | None:
        """Their conditions as the network takes them, `(M, W)`; None if there are none."""
        told = [
            part.condition[[row]] for part, row in self._find(places) if part.condition is not None
        ]
        return torch.cat(told) if told and len(told) == len(places) else None

    def _find(self, places: Sequence[int]) -> Iterator[tuple[InMemory, int]]:
        """The part of each item, and its place in it."""
        bounds = torch.tensor([len(part) for part in self.parts]).cumsum(0)
        for place in places:
            number = int(torch.searchsorted(bounds, place, right=True))
            part = self.parts[number].split
            yield part, place - int(bounds[number]) + len(part)


def score_items(
    model: TrainedModel,
    data: str | None = None,
    *,
    by: ScoreName | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    threshold: float | None = None,
    invert: bool = False,
    find_object: bool = False,
    y: Any = None,
    stage: Stage = ignore_stage,
    world: World = ALONE,
) -> Scores:
    """Score every item of some data, or of the test set of the run.

    Args:
        model: a trained model, whose data must be there, because the items are compared with them.
        data: the name of a data set, or the path of a folder, picture, array or table.
        by: the score that orders the items; None is `adjusted` for images and `likelihood` for
            rows.
        samples: importance samples of each item.
        seed: of the noise.
        threshold: the percentile of the held-out items from which an item counts as strange.
        invert: whether dark and light are exchanged in one picture.
        find_object: whether only what differs from the border of one picture is read.
        y: the condition of one picture; that of other items is in their data.
        stage: shows the progress of a part of the work with a name.
        world: the processes that share the items, of which the first has all scores then.

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
    adjustment = Adjustment(invert=invert, find_object=find_object)
    with stage("reading") as progress:
        subject = open_subject(model, progress, world)
        parts = [subject.test]
        if data is not None:
            parts = read_data(model, data, adjustment, y, progress, world)
    with stage("encoding") as progress:
        train = encode(model.model, subject.train, progress, world).mode().flatten(1)
    fitted = find_codes(model.model, subject.folder)

    def measure_part(split: InMemory, progress: Progress) -> Measures:
        prior = None if fitted is None else fitted.prior
        return measure(model.model, split, train, samples, seed, progress, world, prior)

    found = []
    for part in parts:
        with stage("scoring") as progress:
            found.append(measure_part(part.split, progress))
    items = held_out = join(found)
    if data is not None:
        with stage("held-out items") as progress:
            reference = choose_held_out(subject.test.split)
            held_out = measure_part(reference, progress)
    score = compute_score(chosen, items, held_out)
    usual = compute_score(chosen, held_out, held_out)
    return Scores(
        by=chosen,
        score=score,
        percentile=percentiles(score, usual),
        measures=items,
        held_out=len(usual),
        parts=parts if world.rank == 0 else [],
        is_coded=model.model.likelihood.is_discrete,
        code_prior=name_code_prior(model.model, is_fitted=fitted is not None),
        threshold=threshold,
    )


def name_code_prior(model: LatentModel, *, is_fitted: bool) -> CodePriorName | None:
    """Which prior the codes of a model have; None if its latents are no codes."""
    if find_codes_head(model) is None:
        return None
    return "fitted" if is_fitted else "uniform"


def explain_scores(
    model: TrainedModel,
    scores: Scores,
    places: Sequence[int],
    *,
    seed: int = 0,
    stage: Stage = ignore_stage,
) -> Scores:
    """The scores with the columns that make the rows at some places strange.

    Each column of each row takes a pass of its own; see `reasons.explain_rows`.

    Args:
        model: that gave the scores.
        scores: of rows.
        places: of the rows to explain.
        seed: of the random numbers.
        stage: shows the progress of a part of the work with a name.

    Raises:
        UsageError: the items are images.
    """
    with stage("columns") as progress:
        rows, told = scores.take(places).double(), scores.conditions(places)
        y = None if told is None else told.to(model.model.device)
        reasons = explain_rows(model, rows, y=y, seed=seed, progress=progress)
    return dataclasses.replace(scores, reasons=reasons, explained=tuple(places))


def choose_held_out(test: InMemory) -> InMemory:
    """The held-out items that others are compared with: all, or a fixed random part of many."""
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
    return test.take(order[:MAX_HELD_OUT].sort().values)


def read_data(
    model: TrainedModel,
    data: str,
    adjustment: Adjustment,
    y: Any = None,
    progress: Progress = ignore_progress,
    world: World = ALONE,
) -> list[NamedSplit]:
    """The items of one picture, or of other data.

    Raises:
        UsageError: they cannot be read, or do not fit the model.
    """
    if is_picture(data):
        return [read_picture(model, Path(data), adjustment, y)]
    return read_parts(model, data, progress, world)


def read_picture(
    model: TrainedModel, path: Path, adjustment: Adjustment, y: Any = None
) -> NamedSplit:
    """One picture with its condition; a warning says if it looks unlike the training set.

    Raises:
        UsageError: it cannot be read, or does not fit the model.
    """
    found = model.kind.read_files([path], adjustment)
    for hint in found.hints:
        warnings.warn(VAEWarning(hint), stacklevel=2)
    told = model.converter.read_condition(y, len(found.items))
    whole = dataclasses.replace(InMemory.whole(found.items), condition=told)
    split = model.prepare(whole)
    return NamedSplit(split=split, spec=model.spec, names=found.names)


def read_parts(
    model: TrainedModel, data: str, progress: Progress, world: World
) -> list[NamedSplit]:
    """All items of other data, which one process on each machine reads.

    Raises:
        UsageError: they cannot be read, or do not fit the model.
    """
    dataset = read_together(
        f"{data} for run {model.run.path}",
        lambda watched: open_dataset_for(model.spec, data, watched),
        progress,
        world,
    )
    found = map(dataset.describe, dataset.splits().values())
    return [dataclasses.replace(part, split=model.prepare(part.split)) for part in found]
