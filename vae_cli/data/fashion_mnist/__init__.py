"""Fashion-MNIST (Xiao, Rasul, Vollgraf, 2017, https://arxiv.org/abs/1708.07747), unchanged.

60,000 training and 10,000 test images of clothes, 28x28, white on black, ten classes of equal size.
The four files beside this one are in the IDX format of MNIST: a big-endian header of a magic number
and the sizes, then the bytes. Their licence (MIT, Zalando SE) is in the same folder.
"""

import gzip
from importlib.resources import files
from math import prod
from typing import final

import torch
from torch import Tensor

from vae_cli.data.dataset import Dataset, Parts, Spec
from vae_cli.data.split import InMemory


@final
class FashionMNIST(Dataset):
    """The data set of the article. It is part of the package."""

    spec = Spec(
        "fashion-mnist",
        (1, 28, 28),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    )

    def read(self) -> Parts:
        """60,000 and 10,000 images, as many of each class."""
        return Parts(_split("train", 60_000), _split("t10k", 10_000))


def _split(part: str, count: int) -> InMemory:
    images = _read(f"{part}-images-idx3-ubyte.gz", header=16, shape=(count, 1, 28, 28))
    labels = _read(f"{part}-labels-idx1-ubyte.gz", header=8, shape=(count,))
    return InMemory.whole(images, labels.long())


def _read(name: str, *, header: int, shape: tuple[int, ...]) -> Tensor:
    """The content of one IDX file as a uint8 tensor."""
    content = bytearray(gzip.decompress((files(__package__) / name).read_bytes()))
    return torch.frombuffer(content, dtype=torch.uint8, offset=header, count=prod(shape)).view(
        shape
    )
