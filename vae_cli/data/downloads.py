"""Data sets of torchvision: downloaded once, verified by hash, and used offline afterwards.

torchvision takes seconds to import, so it is imported when a data set is opened. Their names are in
`source.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.cache import cache_folder, cached_tensor
from vae_cli.data.dataset import Dataset, Parts, Progress, Spec
from vae_cli.data.folder_files import map_in_threads
from vae_cli.data.picture import Fitting, decode_picture
from vae_cli.data.split import InMemory
from vae_cli.errors import VAEError

Open = Callable[[Path, bool], Any]  # (folder, whether the training part) to torchvision's object
Classes = Callable[[Any], Any]  # torchvision.datasets to one of its classes
CELEBA_SIZE = 64  # pixels
DIGITS = tuple("0123456789")
LETTERS = ("N/A", *"abcdefghijklmnopqrstuvwxyz")


@final
@dataclass(frozen=True)
class Download:
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


DOWNLOADS = {
    "mnist": Download(_with_train_flag(lambda sets: sets.MNIST), (1, 28, 28), DIGITS),
    "kmnist": Download(
        _with_train_flag(lambda sets: sets.KMNIST),
        (1, 28, 28),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "emnist-letters": Download(
        _with_train_flag(lambda sets: sets.EMNIST, split="letters"),
        (1, 28, 28),
        LETTERS,
        transposed=True,
    ),
    "emnist-digits": Download(
        _with_train_flag(lambda sets: sets.EMNIST, split="digits"),
        (1, 28, 28),
        DIGITS,
        transposed=True,
    ),
    "usps": Download(_with_train_flag(lambda sets: sets.USPS), (1, 16, 16), DIGITS),
    "cifar10": Download(
        _with_train_flag(lambda sets: sets.CIFAR10),
        (3, 32, 32),
        ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    "cifar100": Download(_with_train_flag(lambda sets: sets.CIFAR100), (3, 32, 32)),
    "svhn": Download(_with_split_name(lambda sets: sets.SVHN), (3, 32, 32), DIGITS),
    "stl10": Download(_with_split_name(lambda sets: sets.STL10), (3, 96, 96)),
    "celeba": Download(_with_split_name(lambda sets: sets.CelebA), (3, CELEBA_SIZE, CELEBA_SIZE)),
}


@final
class Downloaded(Dataset):
    """One of `DOWNLOADS`, stored in the user's cache folder.

    Args:
        name: a key of `DOWNLOADS`.
        progress: called with the number of pictures decoded so far and the total, for data sets
            that consist of picture files.
    """

    def __init__(self, name: str, *, progress: Progress) -> None:
        self.download, self.progress = DOWNLOADS[name], progress
        photographs = self.download.shape[0] == len("RGB")  # the grey sets are white on black
        self.spec = Spec(
            name, self.download.shape, classes=self.download.classes, cropped=photographs
        )

    def read(self) -> Parts:
        """The data set's own parts."""
        return Parts(self._read_part(train=True), self._read_part(train=False))

    def _read_part(self, *, train: bool) -> InMemory:
        """One part in memory, or memory-mapped.

        Raises:
            VAEError: it is not in the cache and cannot be downloaded.
        """
        name, root = self.spec.name, cache_folder()
        try:
            part = self.download.open(root, train)
        except ModuleNotFoundError as error:
            raise VAEError(f"{name} needs {error.name}: pip install {error.name}") from error
        except (RuntimeError, OSError) as error:
            if "gdown" in str(error):
                raise VAEError(f"{name} needs gdown: pip install gdown") from error
            raise VAEError(
                f"{name} is not in {root} and cannot be downloaded now: try again with a network, "
                "or copy its files there (VAE_DATA names another folder)"
            ) from error
        if name == "celeba":
            return InMemory.whole(self._decode_faces(part, train=train))
        labels = getattr(part, "targets", None)
        labels = part.labels if labels is None else labels  # the attribute of SVHN and STL10
        known = torch.as_tensor(labels).long() if self.spec.classes else None
        return InMemory.whole(self._images(part.data), known)

    def _images(self, data: Tensor | np.ndarray) -> Tensor:
        """Torchvision's array as uint8 `(N, C, H, W)`."""
        items = torch.as_tensor(data)
        if items.ndim == 3:  # noqa: PLR2004
            items = items[:, None]
        elif items.shape[1:] != self.spec.shape:
            items = items.permute(0, 3, 1, 2)
        return (items.mT if self.download.transposed else items).contiguous()

    def _decode_faces(self, part: Any, *, train: bool) -> Tensor:
        """CelebA's files, decoded once into the cache."""
        folder = Path(part.root, part.base_folder, "img_align_celeba")

        def decode_all(pixels: np.ndarray) -> list[str]:
            def decode(row: int) -> None:
                path = folder / part.filename[row]
                picture = decode_picture(path, Fitting(self.spec.shape, crop=True))
                pixels[row] = picture.pixels.numpy()

            map_in_threads(decode, len(part.filename), self.progress)
            return []

        key = f"celeba-{'train' if train else 'test'}-{CELEBA_SIZE}"
        return cached_tensor(key, (len(part.filename), *self.spec.shape), fill=decode_all)[0]
