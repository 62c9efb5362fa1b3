"""What is drawn when a run is finished: reconstructions of held-out items, and samples.

Reconstructions are also compared with one item for all, the mean: a model that is worse than that
has learned nothing. The samples of a conditional model are of each class, in a row, or else of
conditions that occur in the training set.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, final

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.conditioning import class_place
from vae_cli.data.dataset import Spec
from vae_cli.data.spelling import spell
from vae_cli.data.split import in_order
from vae_cli.data.statistics import FAR
from vae_cli.data.streamed import AnySplit, Streamed
from vae_cli.latent.decoding import reconstruct, sample
from vae_cli.model import LatentModel, TableCodec
from vae_cli.noise import Noise, derive_seed
from vae_cli.rendering import kind_of
from vae_cli.rendering.arrangements import Reconstructions
from vae_cli.rendering.captions import NO_CAPTIONS, Captions
from vae_cli.rendering.grid import Layout
from vae_cli.runs.directory import Run
from vae_cli.runs.resolve import Resolved

TRAIN_ITEMS, HELD_OUT_ITEMS = 5000, 500  # of which the mean and the errors are computed


class Errors(NamedTuple):
    """Squared errors, summed over the values of an item and averaged over held-out items.

    Attributes:
        reconstruction: of the reconstructions from the means of the posteriors.
        mean_item: of the mean of the training set.
    """

    reconstruction: float
    mean_item: float

    @property
    def is_worse(self) -> bool:
        """Whether the model knows less about an item than their mean does.

        It is not known if all held-out items are far away: then both errors are NaN.
        """
        is_known = not math.isnan(self.mean_item)
        return is_known and not self.reconstruction <= self.mean_item  # also if that one is NaN


@torch.no_grad()
def compare_with_mean(model: LatentModel, resolved: Resolved) -> Errors:
    """The errors of a model in evaluation mode, on a part of the held-out items.

    Rows that are far from the mean are left out, because one of them would decide the result.
    """
    device = model.device
    mean = torch.cat([batch.x for batch in some_batches(resolved.train, TRAIN_ITEMS, device)]).mean(
        0
    )
    codec, found, expected = resolved.codec, list[Tensor](), list[Tensor]()
    for batch in some_batches(resolved.test, HELD_OUT_ITEMS, device):
        near = batch[batch.x.abs().flatten(1).amax(1) <= FAR]
        x, reconstructed = near.x, model.infer(near).likelihood.mean[0]
        known = codec.observed(x) if isinstance(codec, TableCodec) else torch.ones_like(x)
        found.append(squared_error(known * reconstructed, known * x))
        expected.append(squared_error(known * mean, known * x))
    return Errors(float(torch.cat(found).mean()), float(torch.cat(expected).mean()))


def some_batches(split: AnySplit, count: int, device: torch.device) -> Iterator[Batch]:
    """About `count` items of a set, at equal distances, in batches of a limited size.

    Those of a set in shards are from a few shards, because all of them take long to read.
    """
    if isinstance(split, Streamed):
        places = split.sample(count, 0)
    else:
        places = torch.arange(0, len(split), max(1, len(split) // count))
    return in_order(split.take(places), device)


def squared_error(found: Tensor, x: Tensor) -> Tensor:
    """The squared error of each item: `(B,)`."""
    return (found - x).square().flatten(1).sum(1)


COLUMNS = 8  # tiles per row
MAX_CLASSES = 16  # rows of samples, one for each class


@final
@dataclass(frozen=True, kw_only=True)
class Asked:
    """What samples are asked of a model.

    Attributes:
        count: how many.
        rows: their conditions, float64 `(count, C)`; None if the model has none.
        captions: of their tiles in a picture.
        texts: the conditions as columns of a table.
    """

    count: int
    rows: Tensor | None = None
    captions: Captions = NO_CAPTIONS
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)


def choose_samples(model: LatentModel, spec: Spec) -> Asked:
    """Images of each class, or as many samples as a preview has.

    Example:
        >>> from vae_cli.data.columns import Column
        >>> from vae_cli.settings import choose, merge
        >>> label = Column(name="label", kind="category", categories=("Bag", "Coat"))
        >>> spec = Spec("clothes", (1, 8, 8), classes=label.categories, condition=(label,))
        >>> model = choose(merge(), spec).build_model(spec)
        >>> asked = choose_samples(model, spec)
        >>> asked.rows.flatten().tolist() == 8 * [0.0] + 8 * [1.0], asked.captions.left
        (True, ('Bag', 'Coat'))
    """
    count, place = kind_of(spec).preview_samples, class_place(spec)
    if model.condition is None:
        return Asked(count=count)
    known = model.condition.known.rows
    if place is None or not spec.is_image:
        rows = known[known.isnan().all(1).argsort(stable=True)[:count]]  # what is known goes first
        texts = {
            column.name: spell(column, values.tolist(), spec.table.decimal)
            for column, values in zip(spec.condition, rows.T, strict=True)
        }
        return Asked(count=count, rows=rows, texts=texts)
    shown = spec.condition[place].categories[:MAX_CLASSES]
    rows = model.condition.of_categories(place, len(shown), COLUMNS)
    return Asked(count=len(rows), rows=rows, captions=Captions(left=shown))


def write_previews(model: LatentModel, run: Run, resolved: Resolved) -> None:
    """Write the previews of a run with its best weights, which are in a model in evaluation mode.

    Raises:
        VAEError: a file cannot be written.
    """
    kind = kind_of(resolved.spec)
    reconstructions, samples = run.previews(kind.suffix)
    test = resolved.test
    count = min(len(test), kind.preview_items)
    originals = next(test.batches(torch.arange(count), count, resolved.device))
    decoded = reconstruct(model, originals).items
    before, after = (model.codec.decode(tensor).cpu() for tensor in (originals.x, decoded))
    writer = kind.writer(Layout(columns=COLUMNS))
    pairs = Reconstructions(originals=before, decoded=after, texts=resolved.texts)
    writer.write_reconstructions(pairs, reconstructions)
    seed = derive_seed(resolved.config.training.seed, "previews")
    noise = Noise(seed, resolved.device)
    asked, y = choose_samples(model, resolved.spec), None
    if model.condition is not None and asked.rows is not None:
        y = model.condition.encode(asked.rows).to(resolved.device)
    drawn = sample(model, asked.count, noise, with_spread=kind.samples_noise, y=y)
    writer = kind.writer(Layout(columns=COLUMNS, captions=asked.captions))
    writer.write(model.codec.decode(drawn).cpu(), samples, asked.texts)
