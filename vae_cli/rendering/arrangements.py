"""What is written: items that belong together, which each kind of item shows in its own way.

A picture has them as tiles, an animation as frames, and a table as rows, each after the numbers
that say which one it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import ArrayLike


@final
@dataclass(frozen=True, kw_only=True)
class Reconstructions:
    """Items, and what a model makes of them.

    Attributes:
        originals: `(N, ...)`; a table leaves them out, because the user has them in a file.
        decoded: `(N, ...)`, in the same order.
        texts: columns that say which items they are, for a table whose order does not.
    """

    originals: ArrayLike
    decoded: ArrayLike
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Arrangement(ABC):
    """Items in R rows and K columns.

    Attributes:
        items: `(R, K, ...)`.
    """

    items: np.ndarray

    @abstractmethod
    def numbers(self) -> dict[str, ArrayLike]:
        """What says which item each is, `(R, K)` by name: columns of a table before its own."""

    def tiles(self) -> np.ndarray:
        """What a picture shows, `(R, L, ...)`: the items, perhaps with others beside them."""
        return self.items

    def frames(self) -> np.ndarray | None:
        """The frames of an animation of M tiles, `(F, M, ...)`; None if it cannot be animated."""
        return None


@final
@dataclass(frozen=True, kw_only=True)
class Traversal(Arrangement):
    """Items whose latents are shifted, one row for each dimension and one column for each offset.

    An animation shows one offset after another.

    Attributes:
        offsets: `(K,)`.
        dims: `(R,)`, the dimensions that are shifted alone; None if all are shifted together.

    Example:
        >>> row = Traversal(items=np.zeros((1, 3, 28, 28)), offsets=[-1, 0, 1], dims=[7])
        >>> row.numbers()["dimension"].tolist(), row.numbers()["offset"].tolist()
        ([[7, 7, 7]], [[-1, 0, 1]])
        >>> len(row.frames())  # there, and back again
        4
    """

    offsets: Sequence[float]
    dims: Sequence[int] | None = None

    def numbers(self) -> dict[str, ArrayLike]:
        """The dimension, if it was only one, and the offset."""
        shape = self.items.shape[:2]
        offset = np.broadcast_to(np.array(self.offsets), shape)
        if self.dims is None:
            return {"offset": offset}
        return {"dimension": np.broadcast_to(np.array(self.dims)[:, None], shape), "offset": offset}

    def frames(self) -> np.ndarray:
        """One frame for each offset, and back again."""
        return append_reverse(self.items.swapaxes(0, 1))


@final
@dataclass(frozen=True, kw_only=True)
class Interpolation(Arrangement):
    """Paths between items, each in a row; the next path begins where the one before it ends.

    Attributes:
        originals: `(R + 1, ...)`, which stand at both ends of each row of a picture; None leaves
            them out.
    """

    originals: ArrayLike | None = None

    def numbers(self) -> dict[str, ArrayLike]:
        """The number of the path and of the step, both from 1."""
        way, step = np.indices(self.items.shape[:2]) + 1
        return {"way": way, "step": step}

    def tiles(self) -> np.ndarray:
        """The paths between the originals."""
        if self.originals is None:
            return self.items
        ends = np.asarray(self.originals)[:, None]
        return np.concatenate([ends[:-1], self.items, ends[1:]], 1)

    def frames(self) -> np.ndarray:
        """One path after another, and back again; the end that two paths share is shown once."""
        flat = self.items[:, :-1].reshape(-1, *self.items.shape[2:])
        return append_reverse(np.concatenate([flat, self.items[-1, -1:]])[:, None])


@final
@dataclass(frozen=True, kw_only=True)
class Grid(Arrangement):
    """Items that have a place in a grid by two or more numbers; it is not animated.

    Attributes:
        places: the numbers of each item, `(R, K)` by name.
    """

    places: Mapping[str, ArrayLike]

    def numbers(self) -> dict[str, ArrayLike]:
        """The numbers that give an item its place."""
        return dict(self.places)


def append_reverse(frames: np.ndarray) -> np.ndarray:
    """Frames `(F, ...)` and then the same without both ends in reverse, for a smooth loop."""
    return np.concatenate([frames, frames[-2:0:-1]])
