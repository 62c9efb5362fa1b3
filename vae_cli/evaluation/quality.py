"""How good samples are: the Frechet distance, and precision and recall, of features.

    FD = ‖μ_1 − μ_2‖² + tr(Σ_1 + Σ_2 − 2 (Σ_1 Σ_2)^½)         Heusel et al. (2017), eq. 6
    precision: the share of samples inside the neighbourhoods of items       Kynkäänniemi et al.
    recall:    the share of items inside the neighbourhoods of samples       (2019), eq. 1 and 2

The neighbourhood of a point reaches to its third neighbour in its own set.
"""

import torch
from torch import Generator, Tensor

NEIGHBOUR = 3
CHUNK_ITEMS = 500
RESAMPLES = 20  # for the standard error of the distance


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """The Frechet distance of normal distributions fitted to features `(N, D)` and `(M, D)`."""
    means, covariances = zip(*map(moments, (first, second)), strict=True)
    values, vectors = torch.linalg.eigh(covariances[0])
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0)
    distance = (means[0] - means[1]).square().sum()
    traces = covariances[0].trace() + covariances[1].trace()
    return max(0.0, float(distance + traces - 2 * product.sqrt().sum()))


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean `(D,)` and the covariance `(D, D)` of features `(N, D)`, in float64."""
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


def frechet_error(first: Tensor, second: Tensor, seed: int) -> float:
    """The standard error of the distance, by the bootstrap over both sets."""
    generator = Generator().manual_seed(seed)
    found = []
    for _ in range(RESAMPLES):
        again = (
            one[torch.randint(len(one), (len(one),), generator=generator)]
            for one in (first, second)
        )
        found.append(frechet_distance(*again))
    return torch.tensor(found, dtype=torch.float64).std().item()


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
    nearest = [
        torch.cdist(some, points).topk(count, largest=False).values[:, -1]
        for some in points.split(CHUNK_ITEMS)
    ]
    return torch.cat(nearest)
