"""How good samples are: the Frechet distance, and precision and recall, of features.

    FD = ‖μ_1 − μ_2‖² + tr(Σ_1 + Σ_2 − 2 (Σ_1 Σ_2)^½)         Heusel et al. (2017), eq. 6
    precision: the share of samples inside the neighbourhoods of items       Kynkäänniemi et al.
    recall:    the share of items inside the neighbourhoods of samples       (2019), eq. 1 and 2

The neighbourhood of a point reaches to its third neighbour in its own set.

The standard error of the distance comes from its influence function (the delta method). With the
map T = Σ_1^-½ (Σ_1^½ Σ_2 Σ_1^½)^½ Σ_1^-½ that carries the first normal distribution to the second,
a point x of the first set moves the distance by

    2 (μ_1 − μ_2)ᵀ(x − μ_1) + (x − μ_1)ᵀ(I − T)(x − μ_1)   minus the mean of this,

divided by the number of points. T^-1 takes the place of T for a point of the second set.
"""

import math

import torch
from torch import Tensor

from vae_cli.evaluation.nearest import find_nearest

NEIGHBOUR = 3
CHUNK_ITEMS = 500
MIN_SCALE = 1e-6  # of the largest standard deviation; what is smaller counts as zero


def frechet_distance(first: Tensor, second: Tensor) -> tuple[float, float]:
    """The Frechet distance of normal distributions fitted to features, and its standard error.

    Args:
        first: `(N, D)`.
        second: `(M, D)`.
    """
    means, covariances = zip(*map(moments, (first, second)), strict=True)
    values, vectors = torch.linalg.eigh(covariances[0])
    scales = values.clamp(min=0).sqrt()
    root = (vectors * scales) @ vectors.T
    product, axes = torch.linalg.eigh(root @ covariances[1] @ root)
    stretch = product.clamp(min=0).sqrt()  # its eigenvalues, and `axes`, are those of Σ_1^½ T Σ_1^½
    shift, traces = means[0] - means[1], covariances[0].trace() + covariances[1].trace()
    value = float(shift.square().sum() + traces - 2 * stretch.sum())
    whiten = (vectors * invert(scales)) @ vectors.T @ axes * stretch.sqrt()
    color = root @ axes * invert(stretch).sqrt()
    variances = [
        influence(features, mean, sign * shift, transport).var() / len(features)
        for features, mean, sign, transport in (
            (first, means[0], 1, whiten),
            (second, means[1], -1, color),
        )
    ]
    return max(0.0, value), math.sqrt(sum(variances))


def invert(scales: Tensor) -> Tensor:
    """1 / x of ascending values `(D,)`; 0 for those that are not told from 0 beside the largest."""
    return torch.where(scales > MIN_SCALE * scales[-1], 1 / scales, 0)


def influence(features: Tensor, mean: Tensor, shift: Tensor, transport: Tensor) -> Tensor:
    """How far each point `(N, D)` moves the distance, times N and up to a constant: `(N,)`.

    Args:
        features: the points.
        mean: their mean `(D,)`.
        shift: it, minus the mean of the other set.
        transport: a factor F `(D, D)` of the map F Fᵀ to the other set.
    """
    centred = features.double() - mean
    return 2 * centred @ shift + centred.square().sum(1) - (centred @ transport).square().sum(1)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean `(D,)` and the covariance `(D, D)` of features `(N, D)`, in float64."""
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


def precision_and_recall(items: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each sample is near items, bool `(M,)`, and each item near samples, bool `(N,)`."""
    item_radius, sample_radius = reach(items), reach(samples)
    near_items, near_samples = [], torch.zeros(len(items), dtype=torch.bool)
    for rows in torch.arange(len(samples)).split(CHUNK_ITEMS):
        distances = torch.cdist(samples[rows], items)
        near_items.append((distances <= item_radius).any(1))
        near_samples |= (distances <= sample_radius[rows, None]).any(0)
    return torch.cat(near_items), near_samples


def reach(points: Tensor) -> Tensor:
    """The distance of each point `(N, D)` to its third neighbour, `(N,)`."""
    count = min(NEIGHBOUR + 1, len(points))  # the nearest point is the point itself
    last = find_nearest(points, points, count)[:, -1]
    return (points - points[last]).square().sum(1).sqrt()
