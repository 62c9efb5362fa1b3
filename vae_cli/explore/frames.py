"""What travels to the page: an item as bytes."""

import numpy as np
from numpy.typing import ArrayLike

from vae_cli.data import Spec


def frame(item: ArrayLike, spec: Spec) -> bytes:
    """An image as uint8 `(H, W, C)`, rounded as in a PNG, or a vector as little-endian float32."""
    values = np.asarray(item, np.float32).reshape(spec.shape)
    if not spec.is_image:
        return values.astype("<f4").tobytes()
    pixels = (values.clip(0, 1) * np.float32(255)).round().astype(np.uint8)
    return pixels.transpose(1, 2, 0).tobytes()
