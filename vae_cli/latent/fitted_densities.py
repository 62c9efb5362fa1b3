"""Densities that are fitted to the latents of the training set, to draw samples from after it.

The decoder has learned to decode the latents of the training set, which may fill the prior badly.
Samples of a density that was fitted to them after the training look better (Ghosh, Sajjadi,
Vergari, Black & Schölkopf, 2020, https://arxiv.org/abs/1903.12436, sec. 4). There are two:

a mixture of normal distributions with full covariances, by expectation-maximization,

    q(z) = Σ_k π_k N(z; μ_k, Σ_k),

and a flow, RealNVP, by maximum likelihood,

    log q(z) = log p_flow((z − μ) / σ) − Σ log σ,

with the mean μ and the standard deviation σ of the latents, so that the flow starts near to them.
"""

import math
from typing import final

import torch
from torch import Generator, Tensor, nn

from vae_cli.model import LatentPrior, RealNVP
from vae_cli.noise import Noise

COMPONENTS = 10
MAX_ITERATIONS = 100
MIN_RISE = 2e-3  # nats per point of the log-likelihood; the iterations end with a smaller rise
FIRST_POINTS = 10_000
CHUNK_POINTS = 500  # whose whitened values for all components fit into a cache
MIN_VARIANCE = 1e-6  # added to the diagonal of every covariance


@final
class FittedMixture(nn.Module):
    """A `LatentPrior` that is a mixture of normal distributions.

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

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        chosen = noise.choice(self.weights, count)
        epsilon = temperature * noise.normal((count, self.latent_dim), dtype=self.means.dtype)
        z = torch.empty_like(epsilon)
        for k in range(len(self.weights)):  # a matrix for each sample would take count × D² values
            rows = chosen == k
            z[rows] = self.means[k] + epsilon[rows] @ self.scale_tril[k].T
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        return self.log_joint(z.reshape(-1, self.latent_dim)).logsumexp(1).view(z.shape[:-1])

    def log_joint(self, z: Tensor) -> Tensor:
        """Log π_k N(z; μ_k, Σ_k) for each component: `(N, D)` to `(N, K)`."""
        # The inverse factors stand side by side, so that one matrix product whitens the points for
        # all components.
        eye = torch.eye(self.latent_dim, dtype=z.dtype, device=z.device)
        inverse = torch.linalg.solve_triangular(
            self.scale_tril, eye.expand_as(self.scale_tril), upper=False
        )
        shift = (inverse @ self.means[:, :, None]).flatten()
        factors = inverse.flatten(0, 1).T
        log_determinants = self.scale_tril.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = 0.5 * self.latent_dim * math.log(2 * math.pi)
        offset = self.weights.log() - log_determinants - constant
        lengths = [
            torch.linalg.vector_norm(
                (some @ factors - shift).unflatten(1, inverse.shape[:2]), dim=2
            )
            for some in z.split(CHUNK_POINTS)
        ]
        return offset - 0.5 * torch.cat(lengths).square()


def fit_mixture(points: Tensor, seed: int, components: int = COMPONENTS) -> FittedMixture:
    """Fit a mixture to points `(N, D)` on the CPU; the arithmetic is in float64.

    The iterations begin with a part of the points, which leads near to the end and costs little.

    scikit-learn's `GaussianMixture` would be a dependency of 170 MB. With its k-means++, held-out
    latents of three models (mlp, table, conv; mean of three seeds) have −27.70, −30.46 and −28.68
    nats; here −27.74, −29.57 and −28.70, in half of the processor time (1.0 s instead of 2.9 s of
    60,000 points) and without the 0.7 s of its import.

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
    part = points[torch.randperm(count, generator=Generator().manual_seed(seed))[:FIRST_POINTS]]
    maximize(mixture, part, start[torch.cdist(part, mixture.means).argmin(1)])
    improve(mixture, part)
    if count > FIRST_POINTS:
        improve(mixture, points)
    return mixture.float()


def improve(mixture: FittedMixture, points: Tensor) -> None:
    """Repeat both steps of expectation-maximization until the likelihood hardly rises."""
    before = -math.inf
    for _ in range(MAX_ITERATIONS):
        joint = mixture.log_joint(points)
        total = joint.logsumexp(1, keepdim=True)
        maximize(mixture, points, (joint - total).exp())
        if total.mean().item() - before < MIN_RISE:
            break
        before = total.mean().item()


def maximize(mixture: FittedMixture, points: Tensor, shares: Tensor) -> None:
    """Set the parameters from the shares `(N, K)` that each component has in each point."""
    counts = shares.sum(0).clamp(min=1e-9)
    mixture.weights.copy_(counts / counts.sum())
    mixture.means.copy_(shares.T @ points / counts[:, None])
    ridge = MIN_VARIANCE * torch.eye(points.shape[1], dtype=points.dtype)
    squares = mixture.means[:, :, None] * mixture.means[:, None]
    covariances = second_moments(points, shares) / counts[:, None, None] - squares
    mixture.scale_tril.copy_(torch.linalg.cholesky(covariances + ridge))


def second_moments(points: Tensor, shares: Tensor) -> Tensor:
    """Σ_n r_nk z_n z_nᵀ of points `(N, D)` with shares `(N, K)`: `(K, D, D)`."""
    sums = points.new_zeros(shares.shape[1] * points.shape[1], points.shape[1])
    for some, weights in zip(points.split(CHUNK_POINTS), shares.split(CHUNK_POINTS), strict=True):
        sums += (weights[:, :, None] * some[:, None]).flatten(1).T @ some
    return sums.view(-1, *sums.shape[1:], sums.shape[1])


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


LAYERS, HIDDEN = 6, 64
STEPS, BATCH_SIZE, LEARNING_RATE = 2000, 512, 3e-3
MIN_SCALE = 1e-6  # of a dimension that does not vary


@final
class FittedFlow(nn.Module):
    """A `LatentPrior` that is a RealNVP flow on scaled latents.

    Args:
        latent_dim: D, at least 2.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.flow = RealNVP(latent_dim, LAYERS, HIDDEN)
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        flow: LatentPrior = self.flow()
        return self.mean + self.scale * flow.sample(count, noise, temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        flow: LatentPrior = self.flow()
        return flow.log_prob((z - self.mean) / self.scale) - self.scale.log().sum()


def fit_flow(points: Tensor, seed: int) -> FittedFlow:
    """Fit a flow to points on the CPU.

    Args:
        points: `(N, D)`, at least two of at least two dimensions.
        seed: of its first weights, and of the order of the points.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        flow = FittedFlow(points.shape[1])
    flow.mean.copy_(points.mean(0))
    flow.scale.copy_(points.std(0).clamp(min=MIN_SCALE))
    generator = Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(flow.parameters(), fused=True)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    with torch.enable_grad():
        for _ in range(STEPS):
            some = points[torch.randint(len(points), (BATCH_SIZE,), generator=generator)]
            optimizer.zero_grad()
            (-flow.log_prob(some).mean()).backward()
            optimizer.step()
            rates.step()
    return flow.requires_grad_(requires_grad=False)
