"""What every kind of item can do."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.array_values import require_valid_values
from vae_cli.data.arrays import read_arrays, to_unit_images
from vae_cli.data.catalogue import ARRAY_SUFFIXES
from vae_cli.data.dataset import Spec, Split
from vae_cli.data.table import complete_rows
from vae_cli.errors import UsageError
from vae_cli.files import require_file_or_folder
from vae_cli.items.writer import ItemWriter


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
                raise UsageError(f"--fit object is for files of pictures, not {path}: leave it out")
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
    def summarize(self, splits: Mapping[str, Split]) -> Summary:
        """The classes of images, or the statistics of columns; `splits` are the parts by name."""
