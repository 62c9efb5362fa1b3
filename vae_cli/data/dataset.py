"""What a data set is, whatever it comes from."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, final

from torch import Tensor

from vae_cli.data.columns import ITEM_COLUMNS, Column, free_name
from vae_cli.data.split import InMemory
from vae_cli.data.streamed import AnySplit
from vae_cli.data.value_range import Limits, Range
from vae_cli.errors import UsageError, mark
from vae_cli.files import stamp_files

Progress = Callable[[int, int], None]
Stage = Callable[[str], AbstractContextManager[Progress]]  # a part of the work that has a name
Missing = Literal["model", "error", "drop", "mean"]
Frames = Literal["first", "all"]

MISSING_ADVICE = {  # in a training, and for a trained model
    True: (
        f"{mark('data.missing=drop')} leaves out such rows, {mark('data.missing=mean')} "
        "fills them in"
    ),
    False: f"fill it in, because the model was trained with {mark('data.missing=error')}",
}


def ignore_progress(*counts: int) -> None:
    """A progress callback that does nothing, for any number of counts."""


def ignore_stage(name: str) -> AbstractContextManager[Progress]:  # noqa: ARG001
    """A stage that shows nothing."""
    return nullcontext(ignore_progress)


@final
@dataclass(frozen=True)
class TableRules:
    """What is done with the columns of a table that are not learned, and with missing values.

    Attributes:
        label: the name of the column that holds the class; empty if there is none.
        dropped: the names of the columns that are left out.
        missing: what happens if a value is missing: the model learns from the others, it is an
            error, its row is left out, or it is replaced by the mean of its column.
        means: one per column that is learned, over the training set; empty if none is needed.
        id: the name of the column that tells rows apart and is not learned; empty if there is none.
        kinds: what the user says of columns, such as `zip=category`.
        delimiter: of the cells of the file, so that tables are written as they were read.
        decimal: the sign before decimals in the file.
    """

    label: str = ""
    dropped: tuple[str, ...] = ()
    missing: Missing = "error"
    means: tuple[float, ...] = ()
    id: str = ""
    kinds: tuple[str, ...] = ()
    delimiter: str = ","
    decimal: str = "."


@final
@dataclass(frozen=True, kw_only=True)
class PictureRules:
    """How pictures are read, as it was asked for; the `Spec` of the data set has what was chosen.

    Arrays of images have a range alone.

    Attributes:
        image_size: height and width in pixels; 0 derives them.
        channels: 1 for grey, 3 for RGB; 0 derives them.
        background: as in `Spec`; white, because most such pictures are made for a white page.
        frames: as in `Spec`.
        value_range: the values of black and of white, or that they are measured.
    """

    image_size: int = 0
    channels: int = 0
    background: int = 255
    frames: Frames = "first"
    value_range: Range = None


DEFAULT_TABLE, DEFAULT_PICTURES = TableRules(), PictureRules()


@final
@dataclass(frozen=True)
class Spec:
    """What the items of a data set are. A checkpoint keeps it, so it can be used without the data.

    Attributes:
        name: the name of the data set.
        shape: `(C, H, W)` of an image, or `(D,)` of a row of a table.
        classes: the names of the classes, in the order of the labels; empty if unknown.
        condition: what a model of the items is conditioned on, a column for each fact, such as one
            of the classes; empty if it is not.
        background: the pixel value, 0 to 255, around an object and behind transparent pixels.
        cropped: whether pictures are cropped at the centre to fill the shape; if not, the whole
            picture is fitted into it.
        columns: of a table: those that its rows have, in the order of the file.
        order: of a table whose columns are told in part: the places in whole rows of the columns of
            the file, one after another; empty if it is their own order.
        table: what is done with its other columns, and with missing values.
        range: the values of black and of white in files; None means those of the type of number.
        frames: of a file with several pages or frames, the first is an item, or all are.
        usual_border: the brightness, 0 to 255, of the edge of nearly all training images; None if
            they have different ones.
    """

    name: str
    shape: tuple[int, ...]
    _: KW_ONLY
    classes: tuple[str, ...] = ()
    condition: tuple[Column, ...] = ()
    background: int = 0
    cropped: bool = False
    columns: tuple[Column, ...] = ()
    order: tuple[int, ...] = ()
    table: TableRules = DEFAULT_TABLE
    range: Limits | None = None
    frames: Frames = "first"
    usual_border: int | None = None

    @property
    def is_image(self) -> bool:
        """Whether items are images; if not, they are rows of a table."""
        return len(self.shape) > 1

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns of a table."""
        return tuple(column.name for column in self.columns)

    def require_shape(self, shape: Sequence[int], source: object) -> None:
        """Check that items from `source` have the shape of this data set's items.

        Raises:
            UsageError: they have another shape.
        """
        if tuple(shape) != self.shape:
            given, expected = ("x".join(map(str, sizes)) for sizes in (shape, self.shape))
            raise UsageError(f"{source} holds items of {given}, but {self.name} is of {expected}")


@final
@dataclass(frozen=True)
class Factors:
    """The known factors of some items, such as the size and the place of a shape.

    Attributes:
        names: of the factors.
        values: int64 `(N, F)`, the value of each factor as an index.
        levels: of each factor, the text of each value, in the order of the indices.
    """

    names: tuple[str, ...]
    values: Tensor
    levels: tuple[tuple[str, ...], ...]

    def take(self, rows: Tensor) -> "Factors":
        """Those of the items at some rows, int64 `(M,)`."""
        return replace(self, values=self.values[rows.cpu()])

    def levels_by_name(self) -> dict[str, tuple[str, ...]]:
        """The texts of the values of each factor."""
        return dict(zip(self.names, self.levels, strict=True))

    def describe(self) -> str:
        """The factors in one line, with the number of values of each."""
        known = self.levels_by_name()
        return ", ".join(f"{name} {len(texts):,}" for name, texts in known.items())


@final
@dataclass(frozen=True, kw_only=True)
class NamedSplit:
    """A part of a data set, and what is known about its items, which the tensors do not say.

    Attributes:
        split: the items.
        spec: what they are.
        names: one per item, as in an `Embedding`.
        ids: what the column of a table that only tells rows apart has for each item; empty if
            there is none.
        has_files: whether these are the paths of pictures in a folder.
        factors: of the items; None if they are not known.
    """

    split: InMemory
    spec: Spec
    names: Sequence[str]
    ids: Sequence[str] = ()
    has_files: bool = False
    factors: Factors | None = None

    def __len__(self) -> int:
        return len(self.split)

    def classes(self, places: Sequence[int]) -> list[str]:
        """The names of the classes of the items at some places; empty if they are not known."""
        labels, classes = self.split.labels, self.spec.classes
        if not classes or len(labels) != len(self):
            return []
        return [classes[label] for label in labels[list(places)].tolist()]

    def texts(self, places: Sequence[int]) -> dict[str, list[str]]:
        """The columns that say which items these are: see `describe_items`."""
        names = [self.names[place] for place in places]
        ids = [self.ids[place] for place in places] if self.ids else ()
        return describe_items(self.spec, names, ids, self.classes(places))

    def titles(self, places: Sequence[int]) -> list[str]:
        """What to call the items at some places: their paths, or numbers, ids and classes."""
        if self.has_files:
            return [self.names[place] for place in places]
        texts = self.texts(places) | {"name": list(map(str, places))}
        return [" ".join(row) for row in zip(*texts.values(), strict=True)]


def describe_items(
    spec: Spec, names: Sequence[str], ids: Sequence[str] = (), classes: Sequence[str] = ()
) -> dict[str, list[str]]:
    """The columns that say which items these are, by title: texts, one for each item.

    They are `name`, the column of ids under its own title, and `label`. What is not known is left
    out.
    """
    known = {"name": list(names)}
    if ids:
        known[free_name(spec.table.id, ITEM_COLUMNS)] = list(ids)
    return known | ({"label": list(classes)} if classes else {})


class Parts(NamedTuple):
    """The parts of a data set; a validation set only if it has its own.

    The training set may be too large for the memory. What is held out never is.
    """

    train: AnySplit
    test: InMemory
    validation: InMemory | None = None

    def head(self, count: int | None) -> "Parts":
        """The first `count` items of each part; None means all."""
        validation = None if self.validation is None else self.validation.head(count)
        return Parts(self.train.head(count), self.test.head(count), validation)


class Dataset(ABC):
    """Items to train on, and items that are held out, whatever they come from.

    A new source of data is a class with a `spec` and one method, `read`, that returns its parts. It
    is called once, when the first part is asked for; the parts are kept for any number of
    trainings.

    Example:
        >>> import torch
        >>> class Digits(Dataset):
        ...     spec = Spec("digits", (1, 8, 8), classes=("even", "odd"))
        ...     def read(self) -> Parts:
        ...         images, labels = torch.zeros(10, 1, 8, 8), torch.arange(10) % 2
        ...         whole = InMemory.whole(images, labels)
        ...         return Parts(whole.take(torch.arange(8)), whole.take(torch.tensor([8, 9])))
        >>> digits = Digits()
        >>> {name: len(part) for name, part in digits.splits().items()}
        {'train': 8, 'test': 2}
        >>> digits.describe(digits.test()).texts([0, 1])
        {'name': ['8', '9'], 'label': ['even', 'odd']}

    Attributes:
        spec: what the items are; their range is known when the parts have been read.
        has_files: whether each item is a file, whose path is its name.
        has_factors: whether `factors` may know any; the items are read to find out.
        path: the file or folder that they come from; None if they are built in.
    """

    spec: Spec
    has_files: bool = False
    has_factors: bool = False
    path: Path | None = None

    @abstractmethod
    def read(self) -> Parts:
        """Read all parts; `parts` keeps them.

        Raises:
            UsageError: the data cannot be used.
            VAEError: a download fails, or the cache cannot be written.
        """

    @functools.cached_property
    def parts(self) -> Parts:
        """All parts, which are read once."""
        return self.read()

    def train(self) -> InMemory:
        """The items to train on, or a random sample if they do not fit into memory.

        A training takes `parts.train`.
        """
        return self.in_memory(self.parts.train)

    def in_memory(self, part: AnySplit) -> InMemory:
        """A part of this data set in memory, or a random sample if it does not fit."""
        assert isinstance(part, InMemory)
        return part

    def test(self) -> InMemory:
        """The items that are held out for testing."""
        return self.parts.test

    def validation(self) -> InMemory | None:
        """The items by which the best epoch is chosen, if the data set has such a part."""
        return self.parts.validation

    def splits(self) -> dict[str, InMemory]:
        """The parts that have items by their names: `train`, `validation` and `test`."""
        return {name: self.in_memory(part) for name, part in self.whole_splits().items()}

    def whole_splits(self) -> dict[str, AnySplit]:
        """The same with a training set that may be too large for the memory."""
        train, test, validation = self.parts
        ordered = {"train": train, "validation": validation, "test": test}
        return {name: part for name, part in ordered.items() if part is not None and len(part)}

    def source_files(self) -> list[Path]:
        """The files that the items come from; none if they are built in."""
        return [] if self.path is None else [self.path]

    @functools.cached_property
    def stamp(self) -> str:
        """A text that changes if one of these files does; empty if there are none.

        It is of the time at which it was first asked for, because the files are read only once.
        """
        return stamp_files(self.source_files())

    def names(self, split: InMemory) -> list[str]:
        """The names of a part's items: their indices, unless the data set has better names."""
        return [str(row) for row in split.rows.tolist()]

    def ids(self, split: InMemory) -> list[str]:  # noqa: ARG002
        """What a table calls the rows of a part; empty if no column tells rows apart."""
        return []

    def factors(self, split: InMemory) -> Factors | None:  # noqa: ARG002
        """The factors of a part's items; None if they are not known."""
        return None

    def describe(self, split: InMemory) -> NamedSplit:
        """A part, and what is known about its items."""
        return NamedSplit(
            split=split,
            spec=self.spec,
            names=self.names(split),
            ids=self.ids(split),
            has_files=self.has_files,
            factors=self.factors(split),
        )
