"""Examples of a data set of images."""

import torch
from torch import Tensor

from vae_cli.data.batches import gather
from vae_cli.data.dataset import Split
from vae_cli.render.grid import GAP_GREY

ROWS_WITHOUT_CLASSES = 6  # of examples, if the images have no classes


def take_examples(split: Split, classes: int, count: int) -> Tensor:
    """The first `count` images of each class, `(classes * count, C, H, W)`, or of all images.

    If a class has fewer, its row is filled with tiles in the colour of the gaps.
    """
    if not classes:
        return gather(split.items, split.rows[: ROWS_WITHOUT_CLASSES * count])
    tiles = torch.full((classes, count, *split.items.shape[1:]), GAP_GREY / 255)
    for label in range(classes):
        rows = split.rows[split.labels == label][:count]
        tiles[label, : len(rows)] = gather(split.items, rows)
    return tiles.flatten(0, 1)
