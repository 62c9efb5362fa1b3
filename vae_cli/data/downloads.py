"""Data sets of torchvision: downloaded once, verified by hash, and used offline afterwards."""

from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from vae_cli.data.cache import cache_folder, cached_tensor
from vae_cli.data.dataset import Dataset, Progress, Spec
from vae_cli.data.folder_decoding import map_in_threads
from vae_cli.data.picture import Fitting, decode_picture
from vae_cli.data.split import InMemory
from vae_cli.data.torchvision_sets import CELEBA_SIZE, SOURCES
from vae_cli.errors import VAEError


@final
class Downloaded(Dataset):
    """One of `sources.SOURCES`, stored in the user's cache folder.

    Args:
        name: a key of `SOURCES`.
        progress: called with the number of pictures decoded so far and the total, for data sets
            that consist of picture files.
    """

    def __init__(self, name: str, *, progress: Progress) -> None:
        self.source, self.progress = SOURCES[name], progress
        photographs = self.source.shape[0] == len("RGB")  # the grey sets are white on black
        self.spec = Spec(name, self.source.shape, self.source.classes, cropped=photographs)

    def train(self) -> InMemory:
        """The data set's own training part."""
        return self._read_part(train=True)

    def test(self) -> InMemory:
        """The data set's own test part."""
        return self._read_part(train=False)

    def _read_part(self, *, train: bool) -> InMemory:
        """One part in memory, or memory-mapped.

        Raises:
            VAEError: it is not in the cache and cannot be downloaded.
        """
        name, root = self.spec.name, cache_folder()
        try:
            part = self.source.open(root, train)
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
        return (items.mT if self.source.transposed else items).contiguous()

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
        return cached_tensor(key, (len(part.filename), *self.spec.shape), decode_all)[0]
