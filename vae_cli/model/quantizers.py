"""Quantizers: from a vector of numbers to one of K codes, and from a code to a vector.

    VQ     k = argmin_j ‖x − e_j‖,  z = e_k          van den Oord, Vinyals & Kavukcuoglu (2017)
    RVQ    k_s = argmin_j ‖r_s − e_sj‖,  r_1 = x,  r_{s+1} = r_s − e_{s,k_s},  z = Σ_s e_{s,k_s}
                                                     Lee et al. (2022), eq. 3
    FSQ    each of a few dimensions is bounded and rounded to one of L levels
                                                     Mentzer et al. (2024), sec. 3.1

A codebook e is not learned by gradients. It follows the vectors that get its codes: e_k is their
exponential moving average (van den Oord et al., 2017, appendix A.1). In a training step a quantizer
only counts and sums up (`gather_statistics`). Such sums can be added over the parts of a batch, and
`absorb` applies them once, after the step.

The derivative of a code by its vector is 0 nearly everywhere. `straight_through` and `rotate` are
two ways to give the encoder a useful gradient all the same.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.noise import Noise

Statistics = dict[str, Tensor]  # sums over the items of a batch, by name

KMEANS_ITERATIONS = 10
KMEANS_CHUNK = 8192  # vectors whose distances to all centres are in memory together
TINY = 1e-12  # in place of a norm or a count of 0, by which nothing can be divided


@final
@dataclass(frozen=True)
class Quantized:
    """What a quantizer makes of N vectors.

    Attributes:
        values: z, `(N, D)`, through which gradients flow to the vectors.
        codes: int64 `(N, S)`, of S stages.
        rests: what each stage was given to quantize, `(N, S, D)`, without gradients; None if the
            quantizer does not learn from it.
        commitment: how far the vectors are from their codes, `(N,)`; None if they need not stay
            close.
    """

    values: Tensor
    codes: Tensor
    rests: Tensor | None = None
    commitment: Tensor | None = None


class Quantizer(nn.Module, ABC):
    """A map from vectors `(N, D)` to S codes of each, and from codes back to vectors.

    Attributes:
        dim: D.
        size: K, the number of codes of a stage.
        stages: S; the vectors of several stages are added up.

    Example:
        >>> import torch
        >>> quantizer = FiniteScalarQuantizer((8, 5, 5, 5))
        >>> found = quantizer(torch.zeros(2, 4))
        >>> quantizer.size, found.codes.shape, quantizer.embed(found.codes).equal(found.values)
        (1000, torch.Size([2, 1]), True)
    """

    dim: int
    size: int
    stages: int = 1

    @abstractmethod
    def forward(self, x: Tensor) -> Quantized:
        """The codes of vectors `(N, D)`, and the vectors of those codes."""

    @abstractmethod
    def embed(self, codes: Tensor) -> Tensor:
        """The vectors `(..., D)` of codes `(..., S)`."""

    def start(self, x: Tensor, per_step: float, noise: Noise) -> None:
        """Start from vectors of the training set.

        Args:
            x: some of them, `(N, D)`.
            per_step: how many there are in a training step.
            noise: the source of random numbers.
        """

    def absorb(self, statistics: Statistics, is_valid: Tensor) -> None:
        """Learn from the statistics of a whole batch, in place.

        Args:
            statistics: from `gather_statistics`, summed over the parts of the batch.
            is_valid: a bool scalar on the device; nothing changes if it is false.
        """


@final
class VectorQuantizer(Quantizer):
    """Codes are the nearest vectors of a codebook; in several stages, those of what is left.

    With n_k vectors of sum s_k that a batch has of code k, and the usage N_k, its moving average,

        N_k ← γ N_k + (1 − γ) n_k        e_k ← e_k + (1 − γ) (s_k − n_k e_k) / N_k

    which is what van den Oord et al. (2017, eq. 6 to 8) compute with a third average, of the sums.
    A code that is used less than a fraction of the mean usage is dead: it starts again as a random
    vector of the batch, at that usage, so that it soon follows the vectors that get it or is
    replaced by another one.

    Args:
        size: K.
        dim: D.
        stages: S.
        decay: γ.
        restart: the fraction of the mean usage below which a code is dead; 0 lets all live.
        is_rotated: whether gradients come by `rotate` instead of `straight_through`.
    """

    codebooks: Tensor
    usage: Tensor

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        stages: int = 1,
        decay: float = 0.99,
        restart: float = 0.5,
        is_rotated: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.dim, self.stages = size, dim, stages
        self.decay, self.restart, self.is_rotated = decay, restart, is_rotated
        self.register_buffer("codebooks", torch.randn(stages, size, dim))
        self.register_buffer("usage", torch.ones(stages, size))

    def forward(self, x: Tensor) -> Quantized:
        """The nearest codes of vectors `(N, D)`, stage by stage."""
        with torch.no_grad(), in_full_precision(x.device):
            codes, rests, values = self.encode(x)
        carry = rotate if self.is_rotated else straight_through
        # What is left after a stage is the distance to the sum of the stages so far.
        distances = (x[:, None] - (x.detach()[:, None] - rests[:, 1:])).square().flatten(1).sum(1)
        return Quantized(carry(x, values), codes, rests[:, :-1], distances)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The codes `(N, S)`, what is left before and after each stage `(N, S + 1, D)`, and z."""
        rests, codes, values = [x], list[Tensor](), torch.zeros_like(x)
        for codebook in self.codebooks.unbind():
            codes.append(find_nearest(rests[-1], codebook))
            chosen = codebook[codes[-1]]
            values = values + chosen
            rests.append(rests[-1] - chosen)
        return torch.stack(codes, 1), torch.stack(rests, 1), values

    def embed(self, codes: Tensor) -> Tensor:
        """The vectors `(..., D)` of codes `(..., S)`."""
        values = torch.zeros((), device=codes.device)
        for codebook, chosen in zip(self.codebooks.unbind(), codes.unbind(-1), strict=True):
            values = values + codebook[chosen]
        return values

    @torch.no_grad()
    def start(self, x: Tensor, per_step: float, noise: Noise) -> None:
        """Start as the centres of k-means of vectors `(N, D)`, stage by stage."""
        for stage in range(self.stages):
            centres, counts = find_centres(x, self.size, noise)
            self.codebooks[stage] = centres
            self.usage[stage] = counts * (per_step / len(x))
            x = x - centres[find_nearest(x, centres)]

    @torch.no_grad()
    def absorb(self, statistics: Statistics, is_valid: Tensor) -> None:
        """Move the codes towards the vectors of a batch, and restart those that are dead."""
        counts, sums = statistics["counts"], statistics["sums"]
        usage = self.usage.lerp(counts, 1 - self.decay)
        change = (1 - self.decay) * (sums - counts[..., None] * self.codebooks)
        codebooks = self.codebooks + change / usage.clamp(min=TINY)[..., None]
        least = self.restart * counts.mean(-1, keepdim=True)
        is_dead = usage < least
        codebooks = torch.where(is_dead[..., None], statistics["candidates"], codebooks)
        usage = torch.where(is_dead, least, usage)
        self.codebooks.copy_(torch.where(is_valid, codebooks, self.codebooks))
        self.usage.copy_(torch.where(is_valid, usage, self.usage))


@final
class FiniteScalarQuantizer(Quantizer):
    """Each dimension is bounded by a tanh and rounded to one of L levels between −1 and 1.

    A code is a number whose digits are the levels of the dimensions, so that there are K = Π L of
    them, and no codebook. An even number of levels has none in its middle (Mentzer et al., 2024,
    https://arxiv.org/abs/2309.15505, appendix A.1).

    Args:
        levels: L of each dimension, at least 2.
        margin: how much further than its outermost levels a dimension reaches, as a fraction.
    """

    levels: Tensor
    places: Tensor

    def __init__(self, levels: Sequence[int], margin: float = 1e-3) -> None:
        super().__init__()
        self.dim, self.size, self.margin = len(levels), math.prod(levels), margin
        places = [math.prod(levels[:place]) for place in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels))
        self.register_buffer("places", torch.tensor(places))

    def forward(self, x: Tensor) -> Quantized:
        """The nearest levels of vectors `(N, D)`."""
        middle = self.levels // 2
        bounded = self.bound(x)
        steps = straight_through(bounded, bounded.detach().round())
        codes = ((steps.detach().long() + middle) * self.places).sum(-1, keepdim=True)
        return Quantized(steps / middle, codes)

    def bound(self, x: Tensor) -> Tensor:
        """Numbers that round to the levels −⌊L/2⌋ to ⌊(L − 1)/2⌋; 0 stays near 0."""
        half = (self.levels - 1) * (1 + self.margin) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        return half * (x + (offset / half).atanh()).tanh() - offset

    def embed(self, codes: Tensor) -> Tensor:
        """The vectors `(..., D)` of codes `(..., 1)`."""
        middle = self.levels // 2
        return (codes // self.places % self.levels - middle) / middle


def in_full_precision(device: torch.device) -> AbstractContextManager[object]:
    """A context without autocast: a rounded distance would choose another code."""
    if device.type == "meta":  # where there is no autocast
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def find_nearest(x: Tensor, codebook: Tensor) -> Tensor:
    """The nearest of the vectors `(K, D)` to each of `(N, D)`: int64 `(N,)`.

    ‖x − e‖² = ‖x‖² − 2 x·e + ‖e‖², whose first term is the same for all e.
    """
    return torch.addmm(codebook.square().sum(1), x, codebook.T, alpha=-2).argmin(1)


def straight_through(x: Tensor, values: Tensor) -> Tensor:
    """The values, exactly, with the gradient of x (Bengio, Léonard & Courville, 2013)."""
    return values + (x - x.detach())


def rotate(x: Tensor, values: Tensor) -> Tensor:
    """The values, exactly, with the gradient of x turned and scaled as x is to become them.

        z = λ R x,    λ = ‖z‖ / ‖x‖,    R = I − 2 r rᵀ + 2 ẑ x̂ᵀ,    r = (x̂ + ẑ) / ‖x̂ + ẑ‖

    λ and R are held constant, so that an encoder keeps the angle between the gradient and the code:
    the rotation trick of Fifty et al. (2025, https://arxiv.org/abs/2410.06424, sec. 4).

    Args:
        x: `(N, D)`.
        values: what they become, `(N, D)`.
    """
    with torch.no_grad():
        scale = values.norm(dim=-1, keepdim=True) / x.norm(dim=-1, keepdim=True).clamp(min=TINY)
        before, after = (nn.functional.normalize(one, dim=-1, eps=TINY) for one in (x, values))
        half = nn.functional.normalize(before + after, dim=-1, eps=TINY)
    along = (x * half).sum(-1, keepdim=True) * half
    turned = x - 2 * along + 2 * (x * before).sum(-1, keepdim=True) * after
    return straight_through(scale * turned, values)


def gather_statistics(rests: Tensor, codes: Tensor, size: int, noise: Noise) -> Statistics:
    """What a codebook learns from its part of a batch: sums, which are added over the parts.

    Args:
        rests: what each stage quantized, `(B, T, S, D)`, for B items with T vectors each.
        codes: int64 `(B, T, S)`.
        size: K.
        noise: the source of random numbers, which knows the place of these items in the batch.

    Returns:
        `counts` `(S, K)` and `sums` `(S, K, D)` of the vectors of each code, and `candidates`
        `(S, K, D)`: for each code a random vector of the whole batch, or 0 if it is in another
        part.
    """
    items, _, stages, dim = rests.shape
    first = torch.arange(stages, device=codes.device) * size  # codes of all stages in one row
    rows, places = rests.flatten(0, 2), (codes + first).flatten()
    sums = sum_by_place(torch.cat([rows, torch.ones_like(rows[:, :1])], 1), places, stages * size)
    candidates = pick_candidates(rests.flatten(0, 1), items, size, noise)
    return {
        "counts": sums[:, dim].view(stages, size),
        "sums": sums[:, :dim].view(stages, size, dim),
        "candidates": candidates,
    }


def pick_candidates(rests: Tensor, items: int, size: int, noise: Noise) -> Tensor:
    """A random vector of the whole batch for each code, `(S, K, D)`; 0 if it is in another part.

    Args:
        rests: what each stage quantized, `(N, S, D)`.
        items: whose vectors they are.
        size: K.
        noise: the source of random numbers.
    """
    stages, positions = rests.shape[1], len(rests) // items
    start, total = (0, items) if noise.part is None else (noise.part.start, noise.part.total)
    places = noise.shared_integers(total * positions, (stages, size)) - start * positions
    is_own = (places >= 0) & (places < len(rests))
    stage = torch.arange(stages, device=rests.device)[:, None]
    chosen = rests[places.clamp(0, len(rests) - 1), stage]
    return torch.where(is_own[..., None], chosen, 0.0)


def sum_by_place(rows: Tensor, places: Tensor, count: int) -> Tensor:
    """The sums `(count, D)` of the rows `(N, D)` that have the same place, in a fixed order."""
    sums = rows.new_zeros(count, rows.shape[1])
    if rows.is_cuda:  # where `index_add` adds in any order
        return sums.index_put((places,), rows, accumulate=True)
    return sums.index_add(0, places, rows)


def find_centres(x: Tensor, size: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """The centres `(K, D)` of k-means (Lloyd, 1982), and how many vectors each has, `(K,)`.

    They start as different vectors. One that loses all its vectors stays where it is.

    Args:
        x: vectors `(N, D)`, at least K.
        size: K.
        noise: the source of random numbers.
    """
    order = torch.randperm(len(x), device=x.device, generator=noise.generator)
    centres, counts = x[order[:size]], x.new_zeros(size)
    rows = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    for _ in range(KMEANS_ITERATIONS):
        nearest = torch.cat([find_nearest(some, centres) for some in x.split(KMEANS_CHUNK)])
        sums = sum_by_place(rows, nearest, size)
        counts = sums[:, -1]
        means = sums[:, :-1] / counts.clamp(min=1)[:, None]
        centres = torch.where(counts[:, None] > 0, means, centres)
    return centres, counts
