"""Where a model puts items: the posterior of each beside what is known of it, for other programs.

`.npz` holds arrays under the names below; `.csv` and `.parquet` a row an item, with the columns
`name`, `part` and `label` where they are known, `mean_0`, ... and `log_variance_0`, ...
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from torch import Tensor

from vae_cli.build import silent
from vae_cli.data import Dataset, Progress, Split, at_once
from vae_cli.errors import UsageError
from vae_cli.files import writing
from vae_cli.trained import CHUNK, Array, Trained

SUFFIXES = (".npz", ".csv", ".parquet")
PARTS = ("train", "test")
QUOTE = '"'
SPECIAL = set(',"\r\n')

Column = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Embedding:
    """The posterior of some items.

    Attributes:
        names: what each is called; a picture's is its path below the folder.
        mean: `(N, D)`.
        log_variance: `(N, D)`, the logarithm of the variance.
        labels: int64 `(N,)`, indices into `classes`; None when unknown.
        classes: the names of the classes.
        parts: `train` or `test`, one an item; None where all are of one part.
    """

    names: list[str]
    mean: Array
    log_variance: Array
    labels: Column | None = None
    classes: tuple[str, ...] = ()
    parts: list[str] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def facts(self) -> dict[str, Column]:
        """What is known of each item: the columns of text, those that are known."""
        found = {"name": _texts(self.names)}
        if self.parts is not None:
            found["part"] = _texts(self.parts)
        if self.labels is not None:
            found["label"] = _texts(self.classes)[self.labels]
        return found


def embed(trained: Trained, dataset: Dataset, progress: Progress = silent) -> Embedding:
    """Encode every item of a data set, of both parts one after the other.

    Items are read as they are needed, so that a data set may be larger than memory.

    Args:
        trained: the model.
        dataset: items in the model's shape; `build.fitted` and `Trained.data` give such.
        progress: called with the items encoded so far, and all.
    """
    splits = [(name, part) for name, part in _parts(dataset) if len(part)]
    total = sum(len(part) for _, part in splits)
    mean, log_variance = (np.empty((total, trained.model.latent_dim), np.float32) for _ in range(2))
    done = 0
    for items in (some for _, part in splits for some in _chunks(part)):
        rows = slice(done, done + len(items))
        mean[rows], log_variance[rows] = trained.encode(items)
        done += len(items)
        progress(done, total)
    labels = np.concatenate([part.labels.numpy() for _, part in splits])
    return Embedding(
        [name for _, part in splits for name in dataset.names(part)],
        mean,
        log_variance,
        labels if dataset.spec.classes and len(labels) == total else None,
        dataset.spec.classes,
        [name for name, part in splits for _ in range(len(part))] if len(splits) > 1 else None,
    )


def check(path: Path) -> None:
    """Refuse early a file that cannot be written.

    Raises:
        UsageError: another extension, or one whose library is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"--output {path}: end the name with .npz, .csv or .parquet")
    if suffix == ".parquet":
        try:
            importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise UsageError(
                f"--output {path}: pip install pyarrow to write Parquet, or end it with .npz"
            ) from error


def write(embedding: Embedding, path: Path) -> None:
    """Write all of it, whole or not at all, in the format of the extension.

    Raises:
        UsageError: another extension, or one whose library is not installed.
        VAEError: the file cannot be written.
    """
    check(path)
    with writing(path) as file:
        match path.suffix.lower():
            case ".npz":
                values = {"mean": embedding.mean, "log_variance": embedding.log_variance}
                np.savez(file, **embedding.facts(), **values)  # type: ignore[arg-type]
            case ".csv":
                file.writelines(_lines(embedding))
            case _:
                _write_parquet(embedding, file)


def _write_parquet(embedding: Embedding, file: BinaryIO) -> None:
    arrow = importlib.import_module("pyarrow")
    texts = {name: arrow.array(values) for name, values in embedding.facts().items()}
    numbers = dict(zip(_columns(embedding), _numbers(embedding, slice(None)).T, strict=True))
    table = arrow.table(texts | {name: arrow.array(values) for name, values in numbers.items()})
    importlib.import_module("pyarrow.parquet").write_table(table, file)


def _lines(embedding: Embedding) -> Iterator[bytes]:
    """The table as CSV, a line at a time; nine digits are a float32."""
    facts = embedding.facts()
    yield f"{','.join([*facts, *_columns(embedding)])}\n".encode()
    for start in range(0, len(embedding), CHUNK):
        rows = slice(start, start + CHUNK)
        texts = zip(*(values[rows].tolist() for values in facts.values()), strict=True)
        numbers = _numbers(embedding, rows).tolist()
        for text, row in zip(texts, numbers, strict=True):
            cells = [*map(_quoted, text), *(f"{value:.9g}" for value in row)]
            yield f"{','.join(cells)}\n".encode()


def _quoted(text: str) -> str:
    """A cell (RFC 4180, sec. 2); Python's own writer leaves a carriage return bare."""
    return f'"{text.replace(QUOTE, QUOTE * 2)}"' if SPECIAL & set(text) else text


def _columns(embedding: Embedding) -> list[str]:
    count = range(embedding.mean.shape[1])
    return [f"{name}_{dim}" for name in ("mean", "log_variance") for dim in count]


def _numbers(embedding: Embedding, rows: slice) -> Array:
    return np.concatenate([embedding.mean[rows], embedding.log_variance[rows]], 1)


def _texts(values: list[str] | tuple[str, ...]) -> Column:
    """Texts that every format can hold: a file's name need not be UTF-8."""
    return np.array([value.encode(errors="backslashreplace").decode() for value in values], str)


def _parts(dataset: Dataset) -> list[tuple[str, Split]]:
    return list(zip(PARTS, (dataset.train(), dataset.test()), strict=True))


def _chunks(split: Split) -> Iterator[Tensor]:
    for rows in split.rows.split(at_once(split.items.shape[1:], CHUNK)):
        yield split.items[rows]
