"""What a data set is, whatever it comes from."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Split:
    """One part of a data set, whole in memory.

    Attributes:
        images: uint8 `(N, C, H, W)`.
        labels: int64 `(N,)`, indices into the data set's classes.
    """

    images: Tensor
    labels: Tensor


class Dataset(ABC):
    """A named data set: what its images look like, and where to get them.

    Attributes:
        name: what `--data` calls it.
        shape: `(C, H, W)` of one image.
        classes: the names of the classes, in the order of the labels.
        background: the pixel value, 0 to 255, that surrounds the objects.
    """

    name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    background: int

    @abstractmethod
    def train(self) -> Split:
        """The images to learn from."""

    @abstractmethod
    def test(self) -> Split:
        """The images that are held out."""
