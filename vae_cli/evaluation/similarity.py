"""The structural similarity of images (SSIM).

    SSIM = (2 μ_x μ_y + c_1)(2 σ_xy + c_2) / ((μ_x² + μ_y² + c_1)(σ_x² + σ_y² + c_2))

of every window of an image, then the mean (Wang, Bovik, Sheikh & Simoncelli, 2004, eq. 13). The
windows are 11x11 pixels around each pixel, with Gaussian weights of σ = 1.5; the image is mirrored
at its edges. These are the values of torchmetrics, in a tenth of the time.
"""

import torch
from torch import Tensor

WINDOW = 11  # pixels
SIGMA = 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2  # for pixels in [0, 1]
CHUNK_VALUES = 2**16  # whose intermediate values fit into a cache


def structural_similarity(first: Tensor, second: Tensor) -> Tensor:
    """The SSIM of pairs of images in [0, 1], the mean of their channels: `(B, C, H, W)` to `(B,)`.

    Args:
        first: images of at least 11x11 pixels.
        second: images of the same shape.
    """
    weights = tuple(window_weights(side).to(first) for side in first.shape[2:])
    size = max(1, CHUNK_VALUES // first[0].numel())
    pairs = zip(first.split(size), second.split(size), strict=True)
    return torch.cat([_similarity(x, y, *weights) for x, y in pairs])


def window_weights(side: int) -> Tensor:
    """The weights of the pixels of a line in the window around each of them: float32, square.

    The Gaussian is a product of one along each axis, so that two matrix products weight an image.
    """
    offsets = torch.arange(WINDOW) - WINDOW // 2
    gaussian = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    pixels = (torch.arange(side)[:, None] + offsets).abs()
    pixels = side - 1 - (side - 1 - pixels).abs()
    weights = (gaussian / gaussian.sum()).expand(side, -1)
    return torch.zeros(side, side).scatter_add_(1, pixels, weights)


def _similarity(x: Tensor, y: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    moments = rows @ (torch.stack([x, y, x * x, y * y, x * y]) @ columns.T)
    mean_x, mean_y, square_x, square_y, product = moments.unbind()
    squares, both = mean_x**2 + mean_y**2, mean_x * mean_y
    variances, covariance = square_x + square_y - squares, product - both
    ratio = (2 * both + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))
    return ratio.mean((1, 2, 3))
