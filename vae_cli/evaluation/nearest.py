"""The nearest neighbours among many points."""

import torch
from torch import Tensor

CHUNK_ITEMS = 32  # times 60,000 points: 8 MB, which fit into a cache
BLOCK = 128  # points whose smallest distance is found first


def find_nearest(queries: Tensor, points: Tensor, count: int) -> Tensor:
    """The places of the nearest points of each query, the nearest first: int64 `(M, count)`.

    The minimum of a block of distances takes much less time than a partial sort. The `count`
    smallest distances are in the `count` blocks with the smallest minima, so only these are sorted.

    Args:
        queries: `(M, D)`.
        points: `(N, D)`.
        count: at most N.
    """
    centre = points.mean(0)  # near 0, the sums of products lose no digits
    padded = torch.nn.functional.pad(points - centre, (0, 1, 0, -len(points) % BLOCK))
    padded[:, -1] = 0.5 * padded.square().sum(1)
    padded[len(points) :, -1] = torch.inf
    minus_queries = torch.nn.functional.pad(centre - queries, (0, 1), value=1.0)
    return torch.cat(
        [_smallest(some @ padded.T, count) for some in minus_queries.split(CHUNK_ITEMS)]
    )


def _smallest(values: Tensor, count: int) -> Tensor:
    """The places of the smallest values of each row `(M, N)`, the smallest first."""
    blocks = values.view(len(values), -1, BLOCK)
    chosen = blocks.amin(2).topk(min(count, blocks.shape[1]), largest=False).indices
    kept = blocks.gather(1, chosen[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    places = kept.topk(count, largest=False).indices
    return chosen.gather(1, places // BLOCK) * BLOCK + places % BLOCK
