"""A set of images that is made black and white once, so that every evaluation sees the same."""

import dataclasses

import torch
from torch import Generator

from vae_cli.data.split import InMemory

SEED = 0


def binarize(split: InMemory) -> InMemory:
    """The images with each pixel white with the probability of its grey value, drawn once.

    The draw depends on nothing but the images and their order, so the first items of a part are the
    same as those of the whole.

    Returns:
        A part with items of its own, uint8 0 or 255, in the order of the given part.
    """
    generator = Generator().manual_seed(SEED)
    shape = (len(split), *split.items.shape[1:])
    items, done = torch.empty(shape, dtype=torch.uint8), 0
    for x in split.chunks(split.rows, 1):
        items[done : done + len(x)] = 255 * torch.bernoulli(x.cpu(), generator=generator).byte()
        done += len(x)
    rows = torch.arange(len(split))
    return dataclasses.replace(split, items=items, rows=rows)
