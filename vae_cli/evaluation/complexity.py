"""How many nats an image takes as a PNG, which measures how complex it is (Serra et al., 2020)."""

import io
import math

import torch
from PIL import Image
from torch import Tensor

from vae_cli.data.dataset import Split
from vae_cli.render.grid import to_picture, to_pixels

BITS = 8  # of a byte


def code_lengths(split: Split) -> Tensor | None:
    """The length of each image as a PNG, in nats: float64 `(N,)`; None for rows of a table."""
    if split.items.ndim == 2:  # noqa: PLR2004
        return None
    lengths = [
        png_bytes(to_picture(pixels)) - overhead(to_picture(pixels).mode)
        for items in split.chunks(split.rows, 1)
        for pixels in to_pixels(items)
    ]
    return torch.tensor(lengths, dtype=torch.float64) * BITS * math.log(2)


def png_bytes(picture: Image.Image) -> int:
    """The size of a picture as a PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.tell()


def overhead(mode: str) -> int:
    """What a PNG has beside its pixels: a signature, a header and an end."""
    return png_bytes(Image.new(mode, (1, 1))) - 1
