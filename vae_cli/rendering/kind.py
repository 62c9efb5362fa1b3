"""What every kind of item can do."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.array_files import require_valid_values
from vae_cli.data.arrays import read_arrays, to_unit_images
from vae_cli.data.dataset import Spec
from vae_cli.data.source import ARRAY_SUFFIXES
from vae_cli.data.split import InMemory
from vae_cli.data.table import complete_rows
from vae_cli.errors import UsageError
from vae_cli.files import Writable, require_file_or_folder
from vae_cli.rendering.grid import BARE, Frame, Sheet

NO_TEXTS: Mapping[str, Sequence[str]] = {}  # of rows that are known by their order


class ItemWriter(ABC):
    """How the items of a data set are written.

    The methods that write raise a UsageError if a picture would be too large, and a VAEError if the
    file cannot be written.

    Attributes:
        items_name: the word for several items.
        output_suffixes: the extensions that can be written; the first is the default.
    """

    items_name: ClassVar[str]
    output_suffixes: ClassVar[tuple[str, ...]]

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
                f"<output> {path}: this model makes {self.items_name}; end it with {self.suffix}"
            )
        return path

    @abstractmethod
    def plan_sheet(
        self, count: int, *, page: int, group: int, scale: int | None, gap: int | None
    ) -> Sheet | None:
        """The items of one page, each with a group of tiles and two lines of text.

        Returns:
            None if items have no text, because they are rows, or images that are too small.

        Raises:
            UsageError: there is no such page.
        """

    @abstractmethod
    def require_writable(
        self, count: int, path: Writable, *, columns: int, scale: int | None, frame: Frame = BARE
    ) -> None:
        """Check that so many items can be written to a file, before they are computed.

        Raises:
            UsageError: there are too many.
        """

    @abstractmethod
    def write(
        self,
        items: ArrayLike,
        path: Writable,
        *,
        columns: int,
        scale: int | None = None,
        frame: Frame = BARE,
    ) -> None:
        """Write items `(N, ...)`.

        Args:
            items: what to write.
            path: ends in one of `output_suffixes`, except those of animations.
            columns: tiles per row of a picture.
            scale: edge of an enlarged pixel.
            frame: the gap between the tiles of a picture, and its captions.
        """

    @abstractmethod
    def write_reconstructions(
        self,
        originals: ArrayLike,
        reconstructions: ArrayLike,
        path: Writable,
        *,
        columns: int,
        scale: int | None = None,
        frame: Frame = BARE,
        texts: Mapping[str, Sequence[str]] = NO_TEXTS,
    ) -> None:
        """Write items next to their reconstructions, or the latter alone if they are rows.

        Args:
            originals: the items.
            reconstructions: in their order.
            path: as in `write`, like the next three.
            columns: tiles per row of a picture.
            scale: edge of an enlarged pixel.
            frame: the gap between the tiles of a picture, and its captions.
            texts: columns that say which rows they are, for the file of a table.
        """

    @abstractmethod
    def write_traversal(
        self,
        tiles: ArrayLike,
        dims: Sequence[int] | None,
        offsets: Sequence[float],
        path: Writable,
        scale: int | None,
        frame: Frame = BARE,
    ) -> None:
        """Write the result of a traversal.

        Args:
            tiles: `(R, K, ...)`, one row per shifted dimension and one column per offset.
            dims: the dimensions that are shifted alone; None if all are shifted together.
            offsets: `(K,)`.
            path: the file.
            scale: edge of an enlarged pixel.
            frame: the gap between the tiles of a picture, and its captions.
        """

    @abstractmethod
    def write_interpolation(
        self,
        paths: ArrayLike,
        path: Writable,
        scale: int | None,
        frame: Frame = BARE,
        originals: ArrayLike | None = None,
    ) -> None:
        """Write interpolations `(N, K, ...)`: N paths of K items each.

        The originals `(N + 1, ...)` stand at both ends of each row of a picture.
        """

    @abstractmethod
    def write_grid(
        self,
        items: ArrayLike,
        index: Mapping[str, ArrayLike],
        path: Writable,
        scale: int | None,
        frame: Frame = BARE,
    ) -> None:
        """Write items `(R, C, ...)` as a grid.

        Args:
            items: what to write.
            index: numbers `(R, C)` by name, which a table has before the columns of its items.
            path: the file.
            scale: edge of an enlarged pixel.
            frame: the gap between the tiles of a picture, and its captions.
        """

    @abstractmethod
    def write_examples(
        self,
        train: InMemory,
        test: InMemory,
        output: Writable | None,
        *,
        columns: int,
        scale: int | None,
        frame: Frame = BARE,
    ) -> str:
        """Show what is in a data set, and return a last line to print.

        Args:
            train: the training set.
            test: the test set.
            output: the file that was asked for, if any.
            columns: tiles per row of a picture.
            scale: edge of an enlarged pixel.
            frame: the gap between the tiles of a picture.

        Raises:
            UsageError: this kind cannot be written to that file.
            VAEError: the file cannot be written.
        """

    @abstractmethod
    def write_item(self, item: Tensor, path: Writable) -> None:
        """Write one item in its own size, as a file that `read` reads.

        Raises:
            VAEError: the file cannot be written.
        """


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


class ItemKind(ItemWriter):
    """How the items of a data set are read, written, previewed, described and named.

    Attributes:
        spec: what the items are.
        samples_noise: whether samples from the prior are drawn from p(x|z), or are its mean.
        preview_items: the number of test items in the previews of a finished run.
        preview_samples: the number of samples in them.
    """

    samples_noise: ClassVar[bool]
    preview_items: ClassVar[int]
    preview_samples: ClassVar[int]

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def read_files(
        self, paths: Iterable[Path], *, invert: bool, find_object: bool = False
    ) -> NamedItems:
        """Read items from files, in the shape of the model's items.

        Args:
            paths: of the files.
            invert: whether dark and light are exchanged in pictures.
            find_object: whether only what differs from the border of a picture is read.

        Raises:
            UsageError: a file cannot be read, or holds items of another kind or shape.
        """
        import torch

        parts = [self._read_file(path, invert=invert, find_object=find_object) for path in paths]
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

    def _read_file(self, path: Path, *, invert: bool, find_object: bool) -> NamedItems:
        require_file_or_folder(path)
        if path.suffix.lower() in ARRAY_SUFFIXES:
            if find_object:
                raise UsageError(f"<fit=object> is for files of pictures, not {path}: leave it out")
            return self._read_array(path)
        return self.read(path, invert=invert, find_object=find_object)

    def _read_array(self, path: Path) -> NamedItems:
        items = read_arrays(path)
        self.spec.require_shape(items.shape[1:], path)
        self.require_count(len(items), path)
        if self.spec.is_image:
            items = to_unit_images(items, self.spec.range, path)
            names = [f"{path.name} {number}" for number in range(len(items))]
            return NamedItems(names, items, [])
        rows, numbers, notes, _ = complete_rows(items, self.spec, path)
        require_valid_values(rows, path)
        places = list(map(str, numbers.tolist()))
        names = [f"{path.name} {place}" for place in places]
        return NamedItems(names, rows, [f"{path}: {note}" for note in notes], {"name": places})

    @abstractmethod
    def require_count(self, count: int, path: Path) -> None:
        """Check that so many items of a file can be shown.

        Raises:
            UsageError: there are too many.
        """

    @abstractmethod
    def read(self, path: Path, *, invert: bool, find_object: bool = False) -> NamedItems:
        """Read a file or folder that is not an array file.

        Raises:
            UsageError: it cannot be read, or holds items of another kind or shape.
        """

    @abstractmethod
    def to_bytes(self, item: ArrayLike) -> bytes:
        """One item for the page of sliders."""

    @abstractmethod
    def describe(self) -> str:
        """The kind and shape of the items, for a person."""

    @abstractmethod
    def summarize(self, splits: Mapping[str, InMemory]) -> Summary:
        """The classes of images, or the statistics of columns; `splits` are the parts by name."""
