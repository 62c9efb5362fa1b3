"""What every kind of item can do: the contract of images, and of rows of a table."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, final

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.arrays import read_arrays
from vae_cli.data.conditioning import is_whole
from vae_cli.data.dataset import Spec
from vae_cli.data.source import ARRAY_SUFFIXES
from vae_cli.data.streamed import AnySplit
from vae_cli.errors import UsageError, mark
from vae_cli.files import Writable, require_file_or_folder
from vae_cli.rendering.arrangements import Arrangement, Reconstructions
from vae_cli.rendering.grid import Layout, Sheet


@final
@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """What is done to pictures that look unlike the training set; rows are read as they are.

    Attributes:
        invert: whether dark and light are exchanged.
        find_object: whether only what differs from the border of a picture is read.
    """

    invert: bool = False
    find_object: bool = False


AS_THEY_ARE = Adjustment()
NO_TEXTS: Mapping[str, Sequence[str]] = {}


class NamedItems(NamedTuple):
    """Items that were read from files.

    Attributes:
        names: one per item.
        items: images float32 `(N, C, H, W)`, or rows `(N, D)` as they were read.
        hints: sentences for the user, for example that a picture looks like a negative.
        texts: of rows, the columns `name` and `label` that `vae embed` writes for them.
    """

    names: list[str]
    items: Tensor
    hints: list[str]
    texts: Mapping[str, list[str]] = {}


class Summary(NamedTuple):
    """What `vae data` prints about a data set.

    Attributes:
        header: the titles of the table's columns.
        rows: the table, with numbers formatted for a person.
        key: the name of the table in JSON.
        records: the same table for JSON.
    """

    header: tuple[str, ...]
    rows: list[tuple[object, ...]]
    key: str
    records: list[dict[str, Any]]


class ItemWriter(ABC):
    """Writes items of one kind to files; `ItemKind.writer` makes it.

    The methods raise a UsageError if the file would be too large, and a VAEError if it cannot be
    written.
    """

    @abstractmethod
    def require_writable(self, count: int, path: Writable) -> None:
        """Check that this number of items can be written, before they are computed.

        Raises:
            UsageError: there are too many.
        """

    @abstractmethod
    def write(
        self, items: ArrayLike, path: Writable, texts: Mapping[str, Sequence[str]] = NO_TEXTS
    ) -> None:
        """Write items.

        Args:
            items: `(N, ...)`.
            path: ends in one of `output_suffixes`, not of animations.
            texts: columns before those of a table, `N` texts by title; a picture has none.
        """

    @abstractmethod
    def write_reconstructions(self, pairs: Reconstructions, path: Writable) -> None:
        """Write items next to their reconstructions, or the latter alone if they are rows."""

    @abstractmethod
    def write_arrangement(self, arrangement: Arrangement, path: Writable) -> None:
        """Write items in rows and columns: a traversal, an interpolation or a grid."""

    @abstractmethod
    def write_examples(self, splits: Mapping[str, AnySplit], output: Writable | None) -> str:
        """Show what is in a data set, and return a last line to print.

        Args:
            splits: the parts by name; there are `train` and `test`.
            output: the file that was asked for, if any.

        Raises:
            UsageError: this kind cannot be written to that file.
            VAEError: the file cannot be written.
        """


class ItemKind(ABC):
    """How the items of a data set are read, written, described and summarized.

    A command asks for the kind of a model's items, and uses this contract alone. What belongs to
    pictures is in two objects that rows do not look into: a `Layout` (tiles per row, their size,
    the gap, captions) and an `Adjustment` (inverted, or only the object). Another kind, such as
    sounds, is one more file with these methods, and a line in `kind_of`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from vae_cli.data.columns import number_columns
        >>> from vae_cli.rendering import kind_of
        >>> kind = kind_of(Spec("wine", (2,), columns=number_columns("alcohol", "acid")))
        >>> path = Path(tempfile.mkdtemp()) / f"sample{kind.suffix}"
        >>> kind.writer(Layout(columns=4)).write(np.array([[13.5, 0.25]]), path)
        >>> path.read_text().splitlines()
        ['alcohol,acid', '13.5,0.25']
        >>> kind.read_files([path]).items.tolist()
        [[13.5, 0.25]]

    Attributes:
        spec: what the items are.
        items_name: the word for several items.
        output_suffixes: the extensions that can be written; the first is the default.
        samples_noise: whether samples from the prior are drawn from p(x|z), or are its mean.
        preview_items: the number of test items in the previews of a finished run.
        preview_samples: the number of samples in them.
    """

    items_name: ClassVar[str]
    output_suffixes: ClassVar[tuple[str, ...]]
    samples_noise: ClassVar[bool]
    preview_items: ClassVar[int]
    preview_samples: ClassVar[int]

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def read_files(self, paths: Iterable[Path], adjustment: Adjustment = AS_THEY_ARE) -> NamedItems:
        """Read items from files, in the shape of the model's items.

        Args:
            paths: of the files.
            adjustment: what is done to pictures.

        Raises:
            UsageError: a file cannot be read, or holds items of another kind or shape.
        """
        parts = [self._read_file(path, adjustment) for path in paths]
        return NamedItems(
            [name for part in parts for name in part.names],
            torch.cat([part.items for part in parts]),
            [hint for part in parts for hint in part.hints],
            {
                title: [text for part in parts for text in part.texts[title]]
                for title in parts[0].texts
                if all(title in part.texts for part in parts)
            },
        )

    def _read_file(self, path: Path, adjustment: Adjustment) -> NamedItems:
        require_file_or_folder(path)
        if path.suffix.lower() not in ARRAY_SUFFIXES:
            return self.read(path, adjustment)
        if adjustment.find_object:
            raise UsageError(
                f"{mark('fit=object')} is for files of pictures, not {path}: leave it out"
            )
        items = read_arrays(path)
        if self.spec.is_image or not is_whole(self.spec, items.shape[-1]):
            self.spec.require_shape(items.shape[1:], path)
        return self.take_array(items, path)

    @property
    def suffix(self) -> str:
        """The default extension of an output file."""
        return self.output_suffixes[0]

    def output_path(self, path: Path | None, command: str) -> Path:
        """The file to write: the one that was asked for, or one with the name of the command.

        Raises:
            UsageError: the extension is not one of this kind.
        """
        if path is None:
            return Path(f"{command}{self.suffix}")
        if path.suffix.lower() not in self.output_suffixes:
            raise UsageError(
                f"{mark('output')} {path}: this model makes {self.items_name}; end it "
                f"with {self.suffix}"
            )
        return path

    @abstractmethod
    def read(self, path: Path, adjustment: Adjustment = AS_THEY_ARE) -> NamedItems:
        """Read a file or folder that is not an array file.

        Raises:
            UsageError: it cannot be read, or holds items of another kind or shape.
        """

    @abstractmethod
    def take_array(self, items: Tensor, path: Path) -> NamedItems:
        """The items of an array file, which have the shape of the model's items.

        Raises:
            UsageError: there are too many to be shown, or a value is not one of the model's items.
        """

    @abstractmethod
    def writer(self, layout: Layout) -> ItemWriter:
        """What writes items; pictures are laid out like this."""

    @abstractmethod
    def plan_sheet(self, count: int, layout: Layout, *, page: int, group: int) -> Sheet | None:
        """The items of one page, each with a group of tiles and two lines of text.

        Returns:
            None if items have no text, because they are rows, or images that are too small.

        Raises:
            UsageError: there is no such page.
        """

    @abstractmethod
    def write_item(self, item: Tensor, path: Writable) -> None:
        """Write one item in its own size, as a file that `read` reads.

        Raises:
            VAEError: the file cannot be written.
        """

    @abstractmethod
    def to_records(self, items: ArrayLike) -> list[dict[str, Any]]:
        """The values of items `(N, ...)` for JSON, by column; a picture has none."""

    @abstractmethod
    def describe(self, count: int | None = None) -> str:
        """The kind and shape of the items, and how many they are if that is given, for a person."""

    @abstractmethod
    def summarize(self, splits: Mapping[str, AnySplit]) -> Summary:
        """The classes of images, or the statistics of columns; `splits` are the parts by name."""
