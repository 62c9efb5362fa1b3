"""What a data set is, whatever it comes from."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Spec:
    """What the items of a data set are; a checkpoint keeps it, to be of use without the data.

    Attributes:
        name: what a person calls it.
        shape: `(C, H, W)` of an image, or `(D,)` of a vector.
        classes: the names of the classes, in the order of the labels; none when unknown.
        background: the pixel value, 0 to 255, around an object and behind what is transparent.
        cropped: whether pictures were centre-cropped to the shape, or else fitted whole into it.
        columns: the names of a vector's columns.
    """

    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    background: int = 0
    cropped: bool = False
    columns: tuple[str, ...] = ()

    @property
    def is_image(self) -> bool:
        """Whether items are images and not vectors."""
        return len(self.shape) > 1


@dataclass(frozen=True)
class Split:
    """One part of a data set: some rows of a tensor that may be a file mapped into memory.

    Attributes:
        items: uint8 `(M, C, H, W)`, floats `(M, C, H, W)` in [0, 1], or floats `(M, D)`.
        rows: int64 `(N,)`, the items that belong to this part, in its order.
        labels: int64 `(N,)`, indices into the data set's classes; `(0,)` when unknown.
    """

    items: Tensor
    rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def whole(cls, items: Tensor, labels: Tensor | None = None) -> "Split":
        """All of the items in their order."""
        rows = torch.arange(len(items), device=items.device)
        return cls(items, rows, torch.empty(0, dtype=torch.int64) if labels is None else labels)

    def head(self, count: int | None) -> "Split":
        """The first `count` items; None is all."""
        return Split(self.items, self.rows[:count], self.labels[:count])


def together(train: Split, test: Split, device: torch.device) -> tuple[Split, Split]:
    """Both parts on a device; items that they share are moved once."""
    items = train.items.to(device)
    others = items if test.items is train.items else test.items.to(device)
    return (
        Split(items, train.rows.to(device), train.labels),
        Split(others, test.rows.to(device), test.labels),
    )


class Dataset(ABC):
    """Items to learn from, and items held out.

    Attributes:
        spec: what they are.
    """

    spec: Spec

    @abstractmethod
    def train(self) -> Split:
        """The items to learn from."""

    @abstractmethod
    def test(self) -> Split:
        """The items that are held out."""

    def names(self, split: Split) -> list[str]:
        """What a part's items are called: their numbers, from 0, where nothing better is known."""
        return [str(row) for row in split.rows.tolist()]


class Divided(Dataset):
    """Items that come as one heap, divided into two parts when they are first asked for."""

    parts: tuple[Split, Split] | None = None

    @abstractmethod
    def divide(self) -> tuple[Split, Split]:
        """The items to learn from and those held out."""

    def train(self) -> Split:
        """The items to learn from."""
        return self._both()[0]

    def test(self) -> Split:
        """The items that are held out."""
        return self._both()[1]

    def _both(self) -> tuple[Split, Split]:
        self.parts = self.parts or self.divide()
        return self.parts
