"""Data that this project did not make, from packages: what `--data` is tried on.

    python tests/pictures.py FOLDER

writes into FOLDER, from scikit-learn,

    patches/             its two sample photographs cut into 64x64 JPEGs, a sub-folder each
    digits.npz           its 1,797 digits, 8x8, enlarged to 16x16, with labels
    wine.csv cancer.csv  two of its tables, with their columns' names

Folders of icons need no script: Debian's oxygen-icon-theme and openclipart-png, unpacked, are
thousands of colour pictures in many sizes, most with transparency.
"""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn import datasets

from vae_cli.data import picture
from vae_cli.data.picture import Fitting, Picture

EDGE = 64


def patches(folder: Path, stride: int = EDGE) -> Path:
    """Patches of the two photographs; `stride` pixels between them."""
    sample = datasets.load_sample_images()
    for name, pixels in zip(sample.filenames, sample.images, strict=True):
        place = folder / Path(name).stem
        place.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels)
        for top in range(0, image.height - EDGE + 1, stride):
            for left in range(0, image.width - EDGE + 1, stride):
                patch = image.crop((left, top, left + EDGE, top + EDGE))
                patch.save(place / f"{top:03}-{left:03}.jpg", quality=92)
    return folder


def digits(path: Path) -> Path:
    """The digits as uint8 `(1797, 16, 16)`."""
    data = datasets.load_digits()
    images = (data.images * 15.9375).astype(np.uint8).repeat(2, 1).repeat(2, 2)
    np.savez(path, images=images, labels=data.target)
    return path


def table(path: Path, name: str) -> Path:
    """One of scikit-learn's tables as CSV."""
    data = getattr(datasets, f"load_{name}")()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(data.feature_names)
        writer.writerows(data.data.tolist())
    return path


if __name__ == "__main__":
    home = Path(sys.argv[1])
    patches(home / "patches", stride=16)
    digits(home / "digits.npz")
    table(home / "wine.csv", "wine")
    table(home / "cancer.csv", "breast_cancer")


def read_picture(path: Path, shape: tuple[int, ...], **fitting: Any) -> Picture:
    """One picture file as an image of a shape."""
    return picture.read_picture(path, Fitting(shape, **fitting))
