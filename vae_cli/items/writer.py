"""What every kind of item can write."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from numpy.typing import ArrayLike
from torch import Tensor

from vae_cli.data.dataset import Split
from vae_cli.errors import UsageError
from vae_cli.files import Writable
from vae_cli.render.grid import BARE, Frame
from vae_cli.render.sheets import Sheet

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
                f"--output {path}: this model makes {self.items_name}; end it with {self.suffix}"
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
        train: Split,
        test: Split,
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
