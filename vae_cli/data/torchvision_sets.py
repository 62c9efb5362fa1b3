"""The data sets that torchvision can download, and what torchvision does not say about them.

torchvision takes seconds to import, so it is imported when a data set is opened. The names can be
looked up without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Open = Callable[[Path, bool], Any]  # (folder, whether the training part) to torchvision's object
Classes = Callable[[Any], Any]  # torchvision.datasets to one of its classes
CELEBA_SIZE = 64  # pixels
DIGITS = tuple("0123456789")
LETTERS = ("N/A", *"abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True)
class Source:
    """One data set of torchvision.

    Attributes:
        open: makes torchvision's object, and downloads what is missing.
        shape: `(C, H, W)` of an image.
        classes: the names of the classes.
        transposed: whether rows and columns are swapped, as in EMNIST.
    """

    open: Open
    shape: tuple[int, int, int]
    classes: tuple[str, ...] = ()
    transposed: bool = False


def _with_train_flag(choose: Classes, **options: Any) -> Open:
    def open_part(root: Path, train: bool) -> Any:
        from torchvision import datasets

        return choose(datasets)(root, train=train, download=True, **options)

    return open_part


def _with_split_name(choose: Classes) -> Open:
    def open_part(root: Path, train: bool) -> Any:
        from torchvision import datasets

        return choose(datasets)(root, split="train" if train else "test", download=True)

    return open_part


SOURCES = {
    "mnist": Source(_with_train_flag(lambda sets: sets.MNIST), (1, 28, 28), DIGITS),
    "kmnist": Source(
        _with_train_flag(lambda sets: sets.KMNIST),
        (1, 28, 28),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "emnist-letters": Source(
        _with_train_flag(lambda sets: sets.EMNIST, split="letters"),
        (1, 28, 28),
        LETTERS,
        transposed=True,
    ),
    "emnist-digits": Source(
        _with_train_flag(lambda sets: sets.EMNIST, split="digits"),
        (1, 28, 28),
        DIGITS,
        transposed=True,
    ),
    "usps": Source(_with_train_flag(lambda sets: sets.USPS), (1, 16, 16), DIGITS),
    "cifar10": Source(
        _with_train_flag(lambda sets: sets.CIFAR10),
        (3, 32, 32),
        ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    "cifar100": Source(_with_train_flag(lambda sets: sets.CIFAR100), (3, 32, 32)),
    "svhn": Source(_with_split_name(lambda sets: sets.SVHN), (3, 32, 32), DIGITS),
    "stl10": Source(_with_split_name(lambda sets: sets.STL10), (3, 96, 96)),
    "celeba": Source(_with_split_name(lambda sets: sets.CelebA), (3, CELEBA_SIZE, CELEBA_SIZE)),
}
