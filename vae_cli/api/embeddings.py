"""The posterior of every item of a data set, as a file for other programs.

`.npz` holds arrays with the names below. `.csv` and `.parquet` hold one row per item, with the
columns `name`, the ids of a table, `part` and `label` if they are known, `mean_0`, ... and
`log_variance_0`, ...
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.api.arrays import Array
from vae_cli.api.model import TrainedModel
from vae_cli.data.batches import CHUNK_ITEMS, chunk_length
from vae_cli.data.columns import ITEM_COLUMNS, free_name
from vae_cli.data.dataset import Dataset, Progress, ignore_progress
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError, mark
from vae_cli.files import Output, Writable, escape_formula, open_output, to_utf8, write_csv
from vae_cli.runs.outputs import OutputFile, data_of, explain_refusal
from vae_cli.training import ALONE, World
from vae_cli.training.world import Share, share_of

SUFFIXES = (".npz", ".csv", ".parquet")

Column = np.ndarray[Any, np.dtype[Any]]


@final
@dataclass(frozen=True, kw_only=True)
class Embedding:
    """The posterior of some items.

    Attributes:
        names: one per item; the name of a picture is its path relative to the folder.
        features: what the posterior is made of, by name, `(N, ...)` each: `mean` and `log_variance`
            of a normal one.
        ids: the column of a table that only tells rows apart, by its title; empty if there is none.
        labels: int64 `(N,)`, indices into `classes`; None if unknown.
        classes: the names of the classes.
        parts: `train`, `validation` or `test`, one per item; None if all items are in one part.
        sources: what `write_embedding` never replaces: the paths of the data of the run and of the
            items, and what they are.
    """

    names: list[str]
    features: Mapping[str, Array]
    ids: Mapping[str, list[str]] = field(default_factory=dict)
    labels: Column | None = None
    classes: tuple[str, ...] = ()
    parts: list[str] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def mean(self) -> Array:
        """The mean of each posterior, `(N, D)`."""
        return self.features["mean"]

    @property
    def mode(self) -> Array:
        """What stands for each item, `(N, D)`: the mean, where it is the most probable latent."""
        return self.features["mode" if "mode" in self.features else "mean"]

    @property
    def log_variance(self) -> Array:
        """The logarithm of its variance, `(N, D)`."""
        return self.features["log_variance"]

    def text_columns(self) -> dict[str, Column]:
        """The columns of text that are known: name, ids, part and label."""
        columns = {"name": _to_texts(self.names)}
        columns |= {
            free_name(title, self.features): _to_texts(ids) for title, ids in self.ids.items()
        }
        if self.parts is not None:
            columns["part"] = _to_texts(self.parts)
        if self.labels is not None:
            columns["label"] = _to_texts(self.classes)[self.labels]
        return columns

    def number_names(self) -> list[str]:
        """The names of the columns of `numbers`."""
        sizes = {name: values[0].size for name, values in self.features.items()}
        return [f"{name}_{place}" for name, size in sizes.items() for place in range(size)]

    def numbers(self, rows: slice = slice(None)) -> Array:
        """The features side by side: of a normal posterior, means and log-variances `(N, 2 D)`."""
        parts = [values[rows] for values in self.features.values()]
        return np.concatenate([part.reshape(len(part), -1) for part in parts], 1)


def embed(
    model: TrainedModel,
    dataset: Dataset,
    progress: Progress = ignore_progress,
    world: World = ALONE,
) -> Embedding:
    """Encode every item of a data set, the training set before the test set.

    Items are read when they are needed, so the data set may be larger than memory.

    Args:
        model: the model.
        dataset: items in the model's shape, as `open_dataset_for` or `TrainedModel.data` opens.
        progress: called with the number of items encoded so far and the total.
        world: the processes that share the items, of which the first has all posteriors then, and
            the others have none.

    Example:
        >>> from vae_cli import load
        >>> model = load()
        >>> embedding = embed(model, model.data())
        >>> embedding.mean.shape == embedding.log_variance.shape == (len(embedding), 20)
        True
    """
    splits = dataset.splits()
    features = encode_splits(model, list(splits.values()), progress, world)
    if world.rank > 0:
        return Embedding(names=[], features=features)
    labels = np.concatenate([split.labels.numpy() for split in splits.values()])
    parts = [name for name, split in splits.items() for _ in range(len(split))]
    ids = [one for split in splits.values() for one in dataset.ids(split)]
    return Embedding(
        names=[name for split in splits.values() for name in dataset.names(split)],
        ids={free_name(dataset.spec.table.id, ITEM_COLUMNS): ids} if ids else {},
        features=features,
        labels=labels if dataset.spec.classes and len(labels) == len(parts) else None,
        classes=dataset.spec.classes,
        parts=parts if len(splits) > 1 else None,
        sources=_describe_sources(model, dataset),
    )


def encode_splits(
    model: TrainedModel, splits: Sequence[InMemory], progress: Progress, world: World
) -> dict[str, Array]:
    """What the posteriors of all items are made of, `(N, ...)` each; no items but at process 0."""
    total, done = sum(map(len, splits)), 0
    kept, features = total if world.rank == 0 else 0, dict[str, Array]()
    for items, y, share in _shared_items(splits, world):
        for name, values in model.features(items, y).items():
            rows = share.collect(torch.from_numpy(values)).numpy()
            whole = features.setdefault(name, np.empty((kept, *rows.shape[1:]), rows.dtype))
            whole[done : done + len(rows)] = rows
        done += share.items
        progress(done, total)
    return features


def _shared_items(
    splits: Sequence[InMemory], world: World
) -> Iterator[tuple[Tensor, Tensor | None, Share]]:
    """This process's chunk of the items of each round, as they are, and their conditions."""
    for split in splits:
        size = chunk_length(split.shape)
        for places in torch.arange(len(split)).split(size * world.size):
            share = share_of(len(places), world, unit=size)
            own, told = share.take(places), split.condition
            yield split.gather(split.rows[own]), None if told is None else told[own], share


def _describe_sources(model: TrainedModel, dataset: Dataset) -> dict[str, str]:
    """The paths of the items and of the data of the run, and what they are."""
    items = {} if dataset.path is None else {str(dataset.path): "the data"}
    return items | data_of(model.run)


def require_writable_format(path: Writable) -> None:
    """Check the extension of a file before anything is computed.

    Raises:
        UsageError: the extension is not known.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{mark('output')} {path}: end the name with .npz, .csv or .parquet")


def write_embedding(embedding: Embedding, path: Writable) -> None:
    """Write an embedding in the format of the extension.

    A file that has this path is replaced, unless it belongs to the data of the run or to a run.

    Raises:
        UsageError: the extension is not known, or the file would replace data or a file of a run.
        VAEError: the file cannot be written.
    """
    require_writable_format(path)
    output = _refusing_data(path, embedding.sources) if isinstance(path, Path) else path
    suffix, texts = path.suffix.lower(), embedding.text_columns()
    if suffix == ".csv":
        write_csv(output, [*texts, *embedding.number_names()], _csv_rows(embedding))
        return
    with open_output(output) as file:
        if suffix == ".npz":
            np.savez(file, **texts, **embedding.features)  # type: ignore[arg-type]
        else:
            _write_parquet(embedding, file)


def _refusing_data(path: Path, sources: Mapping[str, str]) -> Output:
    """A file that replaces any other, but nothing that must stay."""

    def choose() -> Path:
        if reason := explain_refusal(path, sources):
            raise UsageError(f"{path} {reason}: choose another path")
        return path

    return OutputFile(path, choose)


def _write_parquet(embedding: Embedding, file: BinaryIO) -> None:
    arrow = importlib.import_module("pyarrow")
    texts = {name: arrow.array(values) for name, values in embedding.text_columns().items()}
    numbers = zip(embedding.number_names(), embedding.numbers().T, strict=True)
    table = arrow.table(texts | {name: arrow.array(values) for name, values in numbers})
    importlib.import_module("pyarrow.parquet").write_table(table, file)


def _csv_rows(embedding: Embedding) -> Iterator[list[str]]:
    """One row per item; nine digits are enough to restore a float32 exactly."""
    columns = {
        name: [escape_formula(text) for text in values.tolist()]
        for name, values in embedding.text_columns().items()
    }
    for start in range(0, len(embedding), CHUNK_ITEMS):
        rows = slice(start, start + CHUNK_ITEMS)
        texts = zip(*(values[rows] for values in columns.values()), strict=True)
        for text, numbers in zip(texts, embedding.numbers(rows).tolist(), strict=True):
            yield [*text, *(f"{value:.9g}" for value in numbers)]


def _to_texts(values: list[str] | tuple[str, ...]) -> Column:
    return np.array([to_utf8(value) for value in values], str)
