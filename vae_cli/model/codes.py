"""Latents that are codes: what an encoder with a quantizer returns, and the prior of it.

An item has T codes, each one of K, and its latents are the vectors of these codes side by side:

    q(z|x)    one event for each item, so that log q(z|x) is 0
    p(z)      every code is as likely as any other: log p(z) = −T log K

so that KL(q ‖ p) is T log K exactly, whatever the item: the nats that are needed to write down its
codes (van den Oord, Vinyals & Kavukcuoglu, 2017, https://arxiv.org/abs/1711.00937, sec. 3.2). It
has no gradient, and it becomes smaller only by a prior that is fitted to the codes afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, prod
from typing import final

import torch
from torch import Tensor

from vae_cli.model.heads import Head
from vae_cli.model.posterior import Posterior, repeat_samples
from vae_cli.model.priors.prior import Prior
from vae_cli.model.quantizers import Quantizer, Statistics, gather_statistics
from vae_cli.noise import Noise


@final
@dataclass(frozen=True, kw_only=True)
class Codes(Posterior):
    """The codes of each of B items, and the latents that they stand for.

    Attributes:
        quantized: the latents, `(B, *event)`, through which gradients flow to the encoder.
        codes: int64 `(B, T)`, or `(B, h, w)` on a grid; of several stages, they are the last axis.
        commitment: what the distance between the encoder's vectors and their codes costs, `(B,)` in
            nats; None if nothing.
        vectors: what was quantized, without gradients: `(B, T, D)`.
        rests: what each stage quantized, `(B, T, S, D)`; None if the quantizer does not learn.
        size: K.

    Example:
        >>> import torch
        >>> from vae_cli.model import CodesHead, FiniteScalarQuantizer
        >>> head = CodesHead(20, quantizer=FiniteScalarQuantizer((8, 5, 5, 5)))
        >>> posterior = head(torch.zeros(3, 20))
        >>> posterior.codes.shape, head.embed(posterior.codes).equal(posterior.mode())
        (torch.Size([3, 5]), True)
    """

    quantized: Tensor
    codes: Tensor
    commitment: Tensor | None
    vectors: Tensor
    rests: Tensor | None
    size: int

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of the latents of one item."""
        return tuple(self.quantized.shape[1:])

    def rsample(self, samples: int, noise: Noise) -> Tensor:  # noqa: ARG002
        """K times the only event: `(K, B, *event)`."""
        return repeat_samples(self.quantized, samples, len(self.event_shape))

    def mode(self) -> Tensor:
        """The only event."""
        return self.quantized

    def log_prob(self, z: Tensor) -> Tensor:
        """0 for the event of each item, `(K, B)`."""
        return z.new_zeros(z.shape[: z.ndim - len(self.event_shape)])

    def penalty(self) -> Tensor | None:
        """The commitment, which keeps the encoder's vectors close to their codes."""
        return self.commitment

    def features(self) -> dict[str, Tensor]:
        """The codes."""
        return {"code": self.codes}

    def statistics(self, noise: Noise) -> Statistics:
        """What the codebook learns from these items; see `gather_statistics`."""
        if self.rests is None:
            return {}
        return gather_statistics(
            self.rests, self.codes.view(self.rests.shape[:3]), self.size, noise
        )


@final
class CodesHead(Head):
    """The end of an encoder whose latents are codes.

    A vector of L numbers, for an item or for each place of a grid, is L / D codes of D numbers.

    Args:
        event_shape: of the latents of one item: L, or L, h and w.
        quantizer: of the D numbers of a code; D divides L.
        weight: of the commitment, in nats for each unit of squared distance.

    Attributes:
        codes_shape: of the codes of one item: `(L / D,)`; on a grid `(h, w)`, or `(L / D, h, w)` if
            there are several codes in a place. Several stages are one axis more, the last one.
    """

    def __init__(self, *event_shape: int, quantizer: Quantizer, weight: float = 0.25) -> None:
        super().__init__()
        self.event_shape, self.outputs = event_shape, event_shape[0]
        self.quantizer, self.weight = quantizer, weight
        self.codes_shape = shape_of_codes(event_shape, quantizer.dim, quantizer.stages)

    @property
    def codebook_size(self) -> int:
        """K, the number of different codes."""
        return self.quantizer.size

    @property
    def stages(self) -> int:
        """S, the number of codes whose vectors are added up."""
        return self.quantizer.stages

    def forward(self, parameters: Tensor) -> Codes:
        """The codes of values `(B, *event)`, in float32, whatever the precision of the network."""
        vectors = self.divide(parameters.float())
        places = vectors.shape[:2]
        found = self.quantizer(vectors.flatten(0, 1))
        commitment, rests = found.commitment, found.rests
        if commitment is not None:
            commitment = self.weight * commitment.view(places).sum(1)
        return Codes(
            quantized=self.join(found.values.view(vectors.shape)),
            codes=found.codes.view(-1, *self.codes_shape),
            commitment=commitment,
            vectors=vectors.detach(),
            rests=None if rests is None else rests.view(*places, *rests.shape[1:]),
            size=self.quantizer.size,
        )

    def divide(self, latents: Tensor) -> Tensor:
        """The vectors `(B, T, D)` of latents `(B, *event)`."""
        parts = latents.unflatten(1, (-1, self.quantizer.dim))  # (B, L / D, D, *sides)
        vectors: Tensor = parts.movedim(2, -1).reshape(len(latents), -1, self.quantizer.dim)
        return vectors

    def join(self, vectors: Tensor) -> Tensor:
        """The latents `(B, *event)` of vectors `(B, T, D)`."""
        parts = vectors.view(len(vectors), -1, *self.event_shape[1:], self.quantizer.dim)
        return parts.movedim(-1, 2).reshape(len(vectors), *self.event_shape)

    def embed(self, codes: Tensor) -> Tensor:
        """The latents `(B, *event)` of codes `(B, *codes_shape)`."""
        return self.join(self.quantizer.embed(codes.reshape(len(codes), -1, self.stages)))

    def absorb(self, statistics: Statistics, is_valid: Tensor) -> None:
        """Move the codebook; see `Quantizer.absorb`."""
        self.quantizer.absorb(statistics, is_valid)

    def uniform(self) -> "UniformCodes":
        """The prior for which all codes are equally likely."""
        return UniformCodes(
            self.event_shape,
            self.codes_shape,
            size=self.codebook_size,
            stages=self.stages,
            embed=self.embed,
        )


def shape_of_codes(event_shape: Sequence[int], dim: int, stages: int = 1) -> tuple[int, ...]:
    """The shape of the codes of one item, of which each has `dim` numbers; see `CodesHead`."""
    length, *sides = event_shape
    count = length // dim
    first = () if sides and count == 1 else (count,)
    return (*first, *sides, *(() if stages == 1 else (stages,)))


@final
class UniformCodes(Prior):
    """p(z) = K⁻ᵀ: all T codes of an item are chosen from all K with the same probability.

    Args:
        event_shape: of the latents of one item.
        codes_shape: of the codes of one item.
        size: K.
        stages: S.
        embed: codes `(B, *codes_shape)` to latents; its codebook is not the prior's.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        codes_shape: tuple[int, ...],
        *,
        size: int,
        stages: int,
        embed: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.event_shape, self.codes_shape = event_shape, codes_shape
        self.size, self.stages, self.embed = size, stages, embed

    def forward(self, y: Tensor | None = None) -> "RandomCodes":  # noqa: ARG002
        """The same distribution in every pass."""
        return RandomCodes(self)


@final
@dataclass(frozen=True)
class RandomCodes:
    """The distribution of the latents of codes that are all equally likely.

    Attributes:
        prior: knows how many there are, and their latents.
    """

    prior: UniformCodes

    def sample(self, count: int, noise: Noise, temperature: float = 1.0) -> Tensor:  # noqa: ARG002
        """`count` independent samples, `(count, *event)`; no temperature changes them."""
        codes = noise.integers(self.prior.size, count, *self.prior.codes_shape)
        return self.prior.embed(codes)

    def log_prob(self, z: Tensor) -> Tensor:
        """−T log K for the latents `(..., *event)` of codes, in nats: `(...)`."""
        nats = prod(self.prior.codes_shape) * log(self.prior.size)
        return z.new_full(z.shape[: z.ndim - len(self.prior.event_shape)], -nats)


@final
@dataclass(frozen=True)
class CodeUsage:
    """How the codes of many items are distributed.

    Attributes:
        used: how many different codes occur, in all stages together.
        total: how many there are, S K.
        nats: the mean entropy of a code, between 0 and log K.
    """

    used: int
    total: int
    nats: float

    @property
    def perplexity(self) -> float:
        """Of how many equally frequent codes a code would have this entropy, between 1 and K."""
        return exp(self.nats)

    def __str__(self) -> str:
        return f"{self.used}/{self.total}"


def count_codes(codes: Tensor, size: int, stages: int) -> Tensor:
    """How often each code occurs in codes `(B, *codes_shape)`, by stage: int64 `(S, K)`."""
    each = codes.reshape(-1, stages).unbind(1)
    return torch.stack([stage.bincount(minlength=size) for stage in each])


def measure_usage(counts: Tensor) -> CodeUsage:
    """The usage of codes of which each occurs so often, `(S, K)`.

    Example:
        >>> import torch
        >>> usage = measure_usage(torch.tensor([[2, 2, 0, 0]]))
        >>> str(usage), round(usage.perplexity, 6)
        ('2/4', 2.0)
    """
    shares = counts.double() / counts.sum(1, keepdim=True)
    entropy = -torch.special.xlogy(shares, shares).sum(1).mean().item()
    return CodeUsage(int((counts > 0).sum()), counts.numel(), entropy)
