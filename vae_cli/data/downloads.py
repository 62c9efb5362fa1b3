"""Data sets that torchvision knows: downloaded once, checked by hash, used offline afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets

from vae_cli import images
from vae_cli.data import cache
from vae_cli.data.dataset import Dataset, Progress, Spec, Split
from vae_cli.data.folder import in_parallel
from vae_cli.errors import VAEError

Part = Callable[[Path, bool], Any]  # (folder, is it the training part) to torchvision's object
CELEBA_SIZE = 64
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, and what torchvision does not say of it.

    Attributes:
        part: makes torchvision's object, downloading what is missing.
        shape: `(C, H, W)` of an image.
        classes: their names.
        transposed: whether rows and columns are swapped, as EMNIST has them.
    """

    part: Part
    shape: tuple[int, int, int]
    classes: tuple[str, ...] = ()
    transposed: bool = False


def _by_train(kind: Any, **more: Any) -> Part:
    return lambda root, train: kind(root, train=train, download=True, **more)


def _by_split(kind: Any) -> Part:
    return lambda root, train: kind(root, split="train" if train else "test", download=True)


LETTERS = ("N/A", *"abcdefghijklmnopqrstuvwxyz")
SOURCES = {
    "mnist": Source(_by_train(datasets.MNIST), (1, 28, 28), DIGITS),
    "kmnist": Source(_by_train(datasets.KMNIST), (1, 28, 28), tuple(datasets.KMNIST.classes)),
    "emnist-letters": Source(
        _by_train(datasets.EMNIST, split="letters"), (1, 28, 28), LETTERS, transposed=True
    ),
    "emnist-digits": Source(
        _by_train(datasets.EMNIST, split="digits"), (1, 28, 28), DIGITS, transposed=True
    ),
    "usps": Source(_by_train(datasets.USPS), (1, 16, 16), DIGITS),
    "cifar10": Source(
        _by_train(datasets.CIFAR10),
        (3, 32, 32),
        ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    "cifar100": Source(_by_train(datasets.CIFAR100), (3, 32, 32)),
    "svhn": Source(_by_split(datasets.SVHN), (3, 32, 32), DIGITS),
    "stl10": Source(_by_split(datasets.STL10), (3, 96, 96)),
    "celeba": Source(_by_split(datasets.CelebA), (3, CELEBA_SIZE, CELEBA_SIZE)),
}


@final
class Downloaded(Dataset):
    """One of `SOURCES`, in the user's cache folder.

    Args:
        name: a key of `SOURCES`.
        progress: called with the pictures decoded so far, where there are files to decode.
    """

    def __init__(self, name: str, *, progress: Progress) -> None:
        self.source, self.progress = SOURCES[name], progress
        photographs = self.source.shape[0] == len("RGB")  # the others are drawn white on black
        self.spec = Spec(name, self.source.shape, self.source.classes, cropped=photographs)

    def train(self) -> Split:
        """The data set's own training part."""
        return self._part(train=True)

    def test(self) -> Split:
        """The data set's own test part."""
        return self._part(train=False)

    def _part(self, *, train: bool) -> Split:
        """One part in memory, or mapped into it.

        Raises:
            VAEError: it is neither there nor can be downloaded.
        """
        name, root = self.spec.name, cache.folder()
        try:
            part = self.source.part(root, train)
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
            return Split.whole(self._faces(part, train=train))
        labels = getattr(part, "targets", None)
        labels = part.labels if labels is None else labels  # SVHN and STL10 call them so
        known = torch.as_tensor(labels).long() if self.spec.classes else None
        return Split.whole(self._images(part.data), known)

    def _images(self, data: Tensor | np.ndarray) -> Tensor:
        """Torchvision's array as uint8 `(N, C, H, W)`."""
        items = torch.as_tensor(data)
        if items.ndim == 3:  # noqa: PLR2004
            items = items[:, None]
        elif items.shape[1:] != self.spec.shape:
            items = items.permute(0, 3, 1, 2)
        return (items.mT if self.source.transposed else items).contiguous()

    def _faces(self, part: Any, *, train: bool) -> Tensor:
        """CelebA's files decoded once into the cache."""
        folder = Path(part.root, part.base_folder, "img_align_celeba")

        def decode(pixels: np.ndarray) -> list[str]:
            def one(row: int) -> None:
                path = folder / part.filename[row]
                picture = images.decode(path, self.spec.shape, background=0, crop=True)
                pixels[row] = picture.pixels.numpy()

            in_parallel(one, len(part.filename), self.progress)
            return []

        key = f"celeba-{'train' if train else 'test'}-{CELEBA_SIZE}"
        return cache.mapped(key, (len(part.filename), *self.spec.shape), decode)[0]
