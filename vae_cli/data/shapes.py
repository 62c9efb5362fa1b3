"""Shapes with known factors, for work on disentanglement; generated, and the same everywhere.

After dSprites (Matthey, Higgins, Hassabis & Lerchner, 2017): one white shape on black, 64x64, at
every combination of shape, scale, rotation and position, here on a coarser grid.

| factor   | values |                                                        |
|----------|--------|--------------------------------------------------------|
| shape    | 3      | square, ellipse, heart                                 |
| scale    | 4      | 0.5, 0.67, 0.83 and 1 of the largest, 22 pixels across |
| rotation | 10     | multiples of 36 degrees                                |
| x, y     | 16     | centres 2 pixels apart, from 17 to 47                  |

`shapes-32` is the same at half the size, 32x32, for experiments of many trainings.
"""

from typing import final

import torch
from torch import Tensor

from vae_cli.data.dataset import Dataset, Factors, Parts, Spec
from vae_cli.data.held_out import divide, hash_keys
from vae_cli.data.split import InMemory

EDGE = 64  # pixels, height and width of an image as it is rendered
EDGES = {"shapes": EDGE, "shapes-32": 32}
HALF_TILE = 16  # pixels from the centre of a sprite to the edge of its tile
SUBSAMPLES = 8  # per pixel and direction, for smooth edges
LEVELS = {
    "shape": ("square", "ellipse", "heart"),
    "scale": ("0.5", "0.67", "0.83", "1"),
    "rotation": tuple(str(36 * turn) for turn in range(10)),
    "x": tuple(str(17 + 2 * place) for place in range(16)),
    "y": tuple(str(17 + 2 * place) for place in range(16)),
}
FACTORS = {name: len(texts) for name, texts in LEVELS.items()}


@final
class Shapes(Dataset):
    """All 30,720 combinations of the factors; the shape is the class.

    Args:
        test_fraction: the expected share of the images that is held out.
        name: one of `EDGES`, which gives the height and width of an image.
    """

    has_factors = True

    def __init__(self, *, test_fraction: float, name: str = "shapes") -> None:
        self.test_fraction = test_fraction
        self.spec = Spec(name, (1, EDGES[name], EDGES[name]), classes=LEVELS["shape"])

    def read(self) -> Parts:
        """Render all images, and divide them by a hash of their factors.

        Raises:
            UsageError: one of the parts would be empty.
        """
        items, values = shrink(render_images(), self.spec.shape[-1]), factors()
        hashes = hash_keys(bytes(row) for row in values.tolist())
        train, test = (
            InMemory(items, rows, values[rows, 0])
            for rows in divide(hashes, self.test_fraction, self.spec.name)
        )
        return Parts(train, test)

    def factors(self, split: InMemory) -> Factors:
        """The five factors of the items of a part."""
        return Factors(tuple(FACTORS), factors(), tuple(LEVELS.values())).take(split.rows)


def factors() -> Tensor:
    """The factors of each image: int64 `(30720, 5)`, indices in the order of `FACTORS`."""
    return torch.cartesian_prod(*(torch.arange(count) for count in FACTORS.values()))


def render_images() -> Tensor:
    """All images in the order of `factors()`: uint8 `(30720, 1, 64, 64)`."""
    shapes, scales, rotations, across, down = FACTORS.values()
    sprites = torch.stack(
        [
            render_sprite(shape, 0.5 + scale / 6, rotation * 36)
            for shape in range(shapes)
            for scale in range(scales)
            for rotation in range(rotations)
        ]
    )
    canvas = torch.zeros(len(sprites), across, down, EDGE, EDGE, dtype=torch.uint8)
    for x in range(across):
        for y in range(down):
            left, top = 17 + 2 * x - HALF_TILE, 17 + 2 * y - HALF_TILE
            canvas[:, x, y, top : top + 2 * HALF_TILE, left : left + 2 * HALF_TILE] = sprites
    return canvas.view(-1, 1, EDGE, EDGE)


def shrink(images: Tensor, edge: int) -> Tensor:
    """Images `(N, 1, H, W)` with squares of pixels averaged: uint8 `(N, 1, edge, edge)`."""
    blocks = images.unflatten(3, (edge, -1)).unflatten(2, (edge, -1))
    means: Tensor = blocks.to(torch.float32).mean((3, 5))
    return means.round().byte()


def render_sprite(shape: int, scale: float, degrees: float) -> Tensor:
    """One shape in the middle of a tile: uint8 `(32, 32)`, the covered share of each pixel."""
    steps = (
        torch.arange(2 * HALF_TILE * SUBSAMPLES, dtype=torch.float64) + 0.5
    ) / SUBSAMPLES - HALF_TILE
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    turn = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    u = (x * turn.cos() + y * turn.sin()) / (11 * scale)
    v = (y * turn.cos() - x * turn.sin()) / (11 * scale)
    inside = [_square, _ellipse, _heart][shape](u, v).double()
    share = inside.view(2 * HALF_TILE, SUBSAMPLES, 2 * HALF_TILE, SUBSAMPLES).mean((1, 3))
    return (share * 255).round().byte()


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) <= 0.75  # noqa: PLR2004


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    return u**2 + (v / 0.6) ** 2 <= 1


def _heart(u: Tensor, v: Tensor) -> Tensor:
    u, v = 1.2 * u, 0.15 - 1.2 * v  # the curve (u² + v² − 1)³ = u² v³, with v pointing up
    return (u**2 + v**2 - 1) ** 3 <= u**2 * v**3
