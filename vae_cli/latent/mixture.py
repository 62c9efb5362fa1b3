"""A mixture of normal distributions with full covariances, fitted to latents.

    q(z) ≈ Σ_k π_k N(z; μ_k, Σ_k),    fitted by expectation-maximization

The decoder has learned to decode the latents of the training set, which may fill the prior badly.
Samples of a density that was fitted to them after the training look better (Ghosh, Sajjadi,
Vergari, Black & Schölkopf, 2020, https://arxiv.org/abs/1903.12436, sec. 4).
"""

import math
from typing import final

import torch
from torch import Generator, Tensor

from vae_cli.model import Prior

COMPONENTS = 10
MAX_ITERATIONS = 100
MIN_RISE = 1e-3  # nats per point of the log-likelihood; the iterations end with a smaller rise
MIN_VARIANCE = 1e-6  # added to the diagonal of every covariance


@final
class FittedMixture(Prior):
    """The mixture.

    Args:
        latent_dim: D.
        components: K.
    """

    weights: Tensor
    means: Tensor
    scale_tril: Tensor

    def __init__(self, latent_dim: int, components: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, latent_dim))
        self.register_buffer("scale_tril", torch.eye(latent_dim).repeat(components, 1, 1))

    def sample(self, count: int, generator: Generator | None = None) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = self.means.new_empty(count, self.latent_dim).normal_(generator=generator)
        z = torch.empty_like(noise)
        for k in range(len(self.weights)):  # a matrix for each sample would take count × D² values
            rows = chosen == k
            z[rows] = self.means[k] + noise[rows] @ self.scale_tril[k].T
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        return self.log_joint(z.reshape(-1, self.latent_dim)).logsumexp(1).view(z.shape[:-1])

    def log_joint(self, z: Tensor) -> Tensor:
        """Log π_k N(z; μ_k, Σ_k) for each component: `(N, D)` to `(N, K)`."""
        columns = []
        for weight, mean, scale in zip(self.weights, self.means, self.scale_tril, strict=True):
            noise = torch.linalg.solve_triangular(scale, (z - mean).T, upper=False)
            log_determinant = scale.diagonal().log().sum()
            constant = 0.5 * self.latent_dim * math.log(2 * math.pi)
            columns.append(weight.log() - 0.5 * noise.square().sum(0) - log_determinant - constant)
        return torch.stack(columns, 1)


def fit_mixture(points: Tensor, seed: int, components: int = COMPONENTS) -> FittedMixture:
    """Fit a mixture to points `(N, D)` on the CPU; the arithmetic is in float64.

    Args:
        points: at least two.
        seed: of the means that the iterations start from.
        components: K; there are fewer if there are few points.
    """
    points = points.double()
    count, dims = points.shape
    mixture = FittedMixture(dims, max(1, min(components, count // (2 * dims)))).double()
    start = torch.eye(len(mixture.weights), dtype=torch.float64)
    mixture.means.copy_(spread_points(points, len(mixture.weights), seed))
    nearest = torch.cdist(points, mixture.means).argmin(1)
    maximize(mixture, points, start[nearest])
    before = -math.inf
    for _ in range(MAX_ITERATIONS):
        joint = mixture.log_joint(points)
        total = joint.logsumexp(1, keepdim=True)
        maximize(mixture, points, (joint - total).exp())
        if total.mean().item() - before < MIN_RISE:
            break
        before = total.mean().item()
    return mixture.float()


def maximize(mixture: FittedMixture, points: Tensor, shares: Tensor) -> None:
    """Set the parameters from the shares `(N, K)` that each component has in each point."""
    counts = shares.sum(0).clamp(min=1e-9)
    mixture.weights.copy_(counts / counts.sum())
    mixture.means.copy_(shares.T @ points / counts[:, None])
    ridge = MIN_VARIANCE * torch.eye(points.shape[1], dtype=points.dtype)
    for k, count in enumerate(counts):
        centred = points - mixture.means[k]
        covariance = (shares[:, k, None] * centred).T @ centred / count
        mixture.scale_tril[k] = torch.linalg.cholesky(covariance + ridge)


def spread_points(points: Tensor, count: int, seed: int) -> Tensor:
    """Points that are far from each other (k-means++, Arthur & Vassilvitskii, 2007)."""
    generator = Generator().manual_seed(seed)
    chosen = points[torch.randint(len(points), (1,), generator=generator)]
    distances = torch.full((len(points),), math.inf, dtype=points.dtype)
    for _ in range(count - 1):
        distances = torch.minimum(distances, (points - chosen[-1]).square().sum(1))
        if not distances.sum() > 0:
            return chosen.repeat(count, 1)[:count]
        place = distances.sum() * torch.rand(1, generator=generator).double()
        pick = torch.searchsorted(distances.cumsum(0), place).clamp(max=len(points) - 1)
        chosen = torch.cat([chosen, points[pick]])
    return chosen
