"""Latents on a sphere: von Mises-Fisher posteriors and a uniform prior.

    q(z|x) = C_D(κ) exp(κ μᵀz),        z, μ in S^(D−1): vectors of length 1
    C_D(κ) = κ^ν / ((2π)^(ν+1) I_ν(κ)),  ν = D/2 − 1
    KL(q ‖ U) = κ A + log C_D(κ) + log |S^(D−1)|,  A = E[μᵀz] = I_(ν+1)(κ) / I_ν(κ)

Davidson, Falorsi, De Cao, Kipf & Tomczak (2018, https://arxiv.org/abs/1804.00891, eq. 3 and 16).
The KL depends on the concentration κ alone, so no posterior is pulled towards a centre.

All that is not uniform in q is the angle θ between z and μ, whose density is proportional to
exp(κ cos θ) sin^(D−2) θ. Its integrals (`AngleTable`) give everything: the modified Bessel
functions I, their ratio, and samples. Bessel functions of an order like 500 are too small for a
number of any precision, and the KL is a small difference of large terms if κ is large; with these
integrals, it is within 2e-5 in float32 for κ from 0.01 to 100,000 and 2 to 50 dimensions.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_cli.errors import UsageError, mark
from vae_cli.model.heads import Head
from vae_cli.model.posterior import LatentPrior, Posterior, repeat_samples
from vae_cli.model.priors.prior import Prior
from vae_cli.noise import Noise

NODES = 128  # of the integrals, equally far from each other
WIDTHS = 9.0  # from the most probable angle to the last node, in standard deviations at most
NEWTON_STEPS = 4  # from a straight line between two nodes to a cubic that is nearly one
MIN_SLOPE = 1e-6  # of the distribution function from node to node, for a gradient; at most 0.06
TINY, EPSILON = 1e-30, 1e-7  # the smallest divisor, and about the rounding of 1


def log_area(dims: int) -> float:
    """The logarithm of the area of the sphere of vectors `(dims,)` of length 1.

    Example:
        >>> round(math.exp(log_area(3)) / math.pi, 3)
        4.0
    """
    return math.log(2) + dims / 2 * math.log(math.pi) - math.lgamma(dims / 2)


@final
@dataclass(frozen=True, kw_only=True)
class AngleTable:
    """The density f(θ) = exp(κ (cos θ − cos θ*)) (sin θ / sin θ*)^(D−2) at some angles.

    θ* is the most probable angle, so that f is at most 1. The nodes are where f is not negligible,
    at most 0.14 of its standard deviation apart. Integrals are those of the cubics with the values
    and slopes at the nodes, so their error falls with the fourth power of this distance: the
    distribution function is within 2e-6, which is hardly more than its rounding in float32.

    The nodes have no gradient. What is computed from them has that of κ in f.

    Attributes:
        mode: θ*, `(..., 1)`.
        log_sine: (D − 2) log sin θ*, `(...)`.
        steps: of a node from the one before it, `(..., 1)`.
        offsets: θ − θ* of the nodes, `(..., NODES)`.
        cosines: cos θ − cos θ* of the nodes, `(..., NODES)`.
        density: f, `(..., NODES)`.
        integral: of f up to each node, `(..., NODES)`.
        first_moment: the integral of f (cos θ − cos θ*), `(...)`.
    """

    mode: Tensor
    log_sine: Tensor
    steps: Tensor
    offsets: Tensor
    cosines: Tensor
    density: Tensor
    integral: Tensor
    first_moment: Tensor

    @property
    def log_normalizer(self) -> Tensor:
        """Log ∫ exp(κ (cos θ − cos θ*)) sin^(D−2) θ dθ, `(...)`."""
        return self.integral[..., -1].log() + self.log_sine

    @property
    def mean_cosine(self) -> Tensor:
        """E[cos θ] − cos θ*, `(...)`."""
        return self.first_moment / self.integral[..., -1]


def tabulate(concentration: Tensor, dims: int) -> AngleTable:
    """The table for concentrations `(...)` of vectors `(dims,)`."""
    kappa, power = concentration.detach()[..., None], dims - 2
    root = (power**2 + 4 * kappa.square()).sqrt()
    cosine = 2 * kappa / (power + root)  # of θ*, where f has no slope
    sine = (power * cosine / kappa).sqrt()
    mode = torch.atan2(sine, cosine)
    reach = WIDTHS * (kappa * cosine + power / sine.square().clamp(min=TINY)).rsqrt()
    low, high = torch.maximum(-mode, -reach), torch.minimum(math.pi - mode, reach)
    places = torch.linspace(0, 1, NODES, device=kappa.device)
    steps, offsets = (high - low) / (NODES - 1), low + (high - low) * places
    # Differences of cosines and quotients of sines, which would be lost in rounding as such.
    half = (offsets / 2).sin()
    cosines = -2 * (mode + offsets / 2).sin() * half
    quotient = -2 * half.square() + offsets.sin() * cosine / sine.clamp(min=TINY)
    log_quotient = quotient.clamp(min=-1 + EPSILON).log1p() if power else torch.zeros_like(offsets)
    angles = mode + offsets
    scaled = concentration[..., None]
    density = (scaled * cosines + power * log_quotient).exp()
    slopes = -scaled * angles.sin() * density
    if power:
        below = (scaled * cosines + (power - 1) * log_quotient).exp()
        slopes = slopes + power * angles.cos() / sine * below
    weighted, tilts = density * cosines, slopes * cosines - density * angles.sin()
    return AngleTable(
        mode=mode,
        log_sine=power * sine[..., 0].clamp(min=TINY).log(),
        steps=steps,
        offsets=offsets,
        cosines=cosines,
        density=density,
        integral=integrate(density, slopes, steps),
        first_moment=integrate(weighted, tilts, steps)[..., -1],
    )


def integrate(values: Tensor, slopes: Tensor, steps: Tensor) -> Tensor:
    """The integral up to each node of the cubics with these values and slopes: `(..., NODES)`."""
    sums = values[..., 1:] + values[..., :-1]
    bends = slopes[..., :-1] - slopes[..., 1:]
    pieces = steps / 2 * sums + steps.square() / 12 * bends
    return F.pad(pieces.cumsum(-1), (1, 0))


def invert(table: AngleTable, uniform: Tensor) -> Tensor:
    """The angles θ − θ* `(..., K)` where the distribution function has values `(..., K)`.

    Between two nodes it is the cubic with its values and slopes at the nodes. Gradients are those
    of an inverse function, ∂θ/∂κ = −(∂F/∂κ) / (∂F/∂θ) (Figurnov, Mohamed & Mnih, 2018,
    https://arxiv.org/abs/1805.08498, eq. 6).
    """
    total = table.integral[..., -1:]
    values, slopes = table.integral / total, table.steps * table.density / total
    place = torch.searchsorted(values.detach(), uniform.contiguous(), right=True) - 1
    place = place.clamp(0, NODES - 2)

    def at(nodes: Tensor, shift: int = 0) -> Tensor:
        return nodes.gather(-1, place + shift)

    cubic = Cubic(at(values), at(values, 1), at(slopes), at(slopes, 1))
    share = cubic.detach().invert(uniform)
    reached, slope = cubic(share)
    share = share - (reached - reached.detach()) / slope.detach().clamp(min=MIN_SLOPE)
    return at(table.offsets) + table.steps * share


@final
@dataclass(frozen=True)
class Cubic:
    """A cubic between 0 and 1 that rises there, from what it is at both ends.

    Attributes:
        low: its value at 0.
        high: its value at 1.
        rise: its slope at 0.
        fall: its slope at 1.
    """

    low: Tensor
    high: Tensor
    rise: Tensor
    fall: Tensor

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The value and the slope at `t`."""
        rise, change = self.rise, self.high - self.low
        bend, twist = 3 * change - 2 * rise - self.fall, rise + self.fall - 2 * change
        value = self.low + t * (rise + t * (bend + t * twist))
        return value, rise + t * (2 * bend + 3 * t * twist)

    def detach(self) -> "Cubic":
        """The same one without gradients."""
        return Cubic(self.low.detach(), self.high.detach(), self.rise.detach(), self.fall.detach())

    def invert(self, value: Tensor) -> Tensor:
        """Where it has a value, by Newton's method."""
        t = ((value - self.low) / (self.high - self.low).clamp(min=TINY)).clamp(0, 1)
        for _ in range(NEWTON_STEPS):
            reached, slope = self(t)
            t = (t - (reached - value) / slope.clamp(min=TINY)).clamp(0, 1)
        return t


@final
@dataclass(frozen=True)
class VonMisesFisher(Posterior):
    """Vectors of length 1 around a direction, as in the module's docstring.

    Attributes:
        direction: μ, `(..., D)`, of length 1; D is 2 or more.
        concentration: κ, `(...)`, above 0.

    Example:
        >>> import torch
        >>> from vae_cli.noise import Noise
        >>> q = VonMisesFisher(torch.eye(3), torch.full((3,), 50.0))
        >>> z = q.rsample(4, Noise(0))
        >>> z.shape, bool(((z.norm(dim=-1) - 1).abs() < 1e-5).all())
        (torch.Size([4, 3, 3]), True)
        >>> q.closed_form_kl(UniformSphere(torch.zeros(3)))[0].item() > 3
        True
    """

    direction: Tensor
    concentration: Tensor

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of the latents of one item."""
        return tuple(self.direction.shape[-1:])

    @cached_property
    def table(self) -> AngleTable:
        """The distribution of the angle to the direction."""
        return tabulate(self.concentration, self.direction.shape[-1])

    def rsample(self, samples: int, noise: Noise) -> Tensor:
        """K samples: an angle from a uniform number, and a direction there from normal ones.

        There is no rejection, unlike in the sampler of Wood (1994), so that every sample takes the
        same operations and has a gradient with respect to κ.
        """
        direction = repeat_samples(self.direction, samples, 1)
        uniform = noise.uniform_like(direction[..., 0], batch_axis=1)
        angles = self.table.mode + invert(self.table, uniform.movedim(0, -1))
        angles = angles.movedim(-1, 0)[..., None]
        epsilon = noise.normal(direction.shape, batch_axis=1, dtype=direction.dtype)
        along = (epsilon * direction).sum(-1, keepdim=True) * direction
        return angles.cos() * direction + angles.sin() * F.normalize(epsilon - along, dim=-1)

    def mode(self) -> Tensor:
        """The direction."""
        return self.direction

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of vectors `(K, B, D)` of length 1 on the sphere, in nats: `(K, B)`."""
        # κ (μᵀz − cos θ*), without the rounding of two numbers near to 1.
        distance = (z - self.direction).square().sum(-1) / 2
        nearest = 2 * (self.table.mode[..., 0] / 2).sin().square()
        constant = self.table.log_normalizer + log_area(z.shape[-1] - 1)
        return self.concentration * (nearest - distance) - constant

    def closed_form_kl(self, prior: LatentPrior) -> Tensor | None:
        """The KL to the uniform distribution: `(B, 1)`."""
        if not isinstance(prior, UniformSphere):
            return None
        dims, table = self.direction.shape[-1], self.table
        constant = log_area(dims) - log_area(dims - 1)
        return (self.concentration * table.mean_cosine - table.log_normalizer + constant)[..., None]

    def features(self) -> dict[str, Tensor]:
        """The direction is the mean of the vectors, scaled to length 1."""
        return {"mean": self.direction, "concentration": self.concentration[..., None]}


@final
@dataclass(frozen=True)
class UniformSphere:
    """The uniform distribution of vectors of length 1.

    Attributes:
        zeros: `(D,)`; it says the shape, the type and the device.
    """

    zeros: Tensor

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:
        """`count` independent samples, `(count, D)`.

        Raises:
            UsageError: there is a temperature, and no centre that samples could be nearer to.
        """
        if temperature != 1:
            raise UsageError(
                f"{mark(f'temperature={temperature:g}')}: the prior of this model is uniform, and "
                "samples cannot be nearer to its centre; leave it out"
            )
        shape = (count, *self.zeros.shape)
        return F.normalize(noise.normal(shape, dtype=self.zeros.dtype), dim=-1)

    def log_prob(self, z: Tensor) -> Tensor:
        """Minus the logarithm of the area, for vectors `(..., D)`: `(...)`."""
        return z.new_full(z.shape[:-1], -log_area(z.shape[-1]))


@final
class UniformOnSphere(Prior):
    """The same density for all vectors of length 1.

    Args:
        latent_dim: D.
    """

    zeros: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.event_shape = (latent_dim,)
        self.register_buffer("zeros", torch.zeros(latent_dim))

    def restrict(self, z: Tensor) -> Tensor:
        """The latents with length 1."""
        return F.normalize(z, dim=-1)

    def forward(self, y: Tensor | None = None) -> UniformSphere:  # noqa: ARG002
        """The distribution."""
        return UniformSphere(self.zeros)


LEAST, MOST = 1e-2, 1e5  # concentrations: nearly uniform, and hardly any deviation


@final
class SphereHead(Head):
    """A vector that is scaled to length 1, and the concentration in units of the dimensions.

        κ = 0.01 + D softplus(s);    if κ is D, E[μᵀz] is about ½ in few and in many dimensions

    Args:
        latent_dim: D, 2 or more.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.event_shape, self.outputs = (latent_dim,), latent_dim + 1

    def forward(self, parameters: Tensor) -> VonMisesFisher:
        """The distributions for `(B, D + 1)`, in float32."""
        vector, scale = parameters.float().split([self.latent_dim, 1], -1)
        concentration = LEAST + self.latent_dim * F.softplus(scale[..., 0])
        return VonMisesFisher(F.normalize(vector, dim=-1), concentration.clamp(max=MOST))

    def uniform(self) -> UniformOnSphere:
        """The uniform distribution on the sphere."""
        return UniformOnSphere(self.latent_dim)
