"""A prior over codes that is fitted to those of the training set: a causal transformer.

A quantizer makes of an item some integers from 0 to K − 1, its codes (van den Oord, Vinyals &
Kavukcuoglu, 2017, https://arxiv.org/abs/1711.00937). While it is trained, all codes count as
equally likely, but the decoder has learned to decode those of the training set, and independent
uniform codes look like none of them. So a prior is fitted to the codes afterwards (sec. 3.3 there):

    p(c | y) = Π_t p(c_t | c_1, …, c_{t−1}, y)        c_1, …, c_T in their order, y a condition

Each factor is a softmax over the K values. All factors of given codes come from one pass of a
transformer, in which each position sees those before it and nothing else (Vaswani et al., 2017,
https://arxiv.org/abs/1706.03762; layer norms first, as in Radford et al., 2019). For a sample, one
code is drawn after the other, and the keys and values of the positions before are kept.

A quantizer's posterior is a single point, without entropy, so that its evidence lower bound is

    log p(x) ≥ log p(x|c) + log p(c).

−log p(c) is the code length of c: so many nats an ideal coder needs for it. Under uniform codes,
it is T log K. The last layer starts as 0, so that a prior without a single step is the uniform one.
"""

from collections.abc import Callable
from math import prod
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_cli.noise import Noise

WIDTH, BLOCKS, HEADS = 64, 2, 2
CHUNK_BYTES = 100e6  # of what a pass keeps of some items: logits, or keys and values
MIN_TEMPERATURE = 1e-6  # below which the most probable code is drawn anyway


@final
class Block(nn.Module):
    """A residual block of a transformer: positions exchange what they know, and each thinks."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.perceptron_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH)
        self.leave_attention = nn.Linear(WIDTH, WIDTH)
        self.perceptron = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, h: Tensor) -> Tensor:
        """All positions of B items, `(B, T, WIDTH)` to the same shape."""
        queries, keys, values = self._project(h)
        found = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return self._finish(h, found)

    def next(self, h: Tensor, past: Tensor, position: int) -> Tensor:
        """One more position, `(B, 1, WIDTH)` to the same shape.

        Args:
            h: of the position.
            past: the keys and values of all positions, `(2, B, HEADS, T, WIDTH / HEADS)`, of which
                those before are known; those of this one are written to it.
            position: from 0.
        """
        queries, keys, values = self._project(h)
        past[0, :, :, position], past[1, :, :, position] = keys[:, :, 0], values[:, :, 0]
        known = past[:, :, :, : position + 1]
        return self._finish(h, F.scaled_dot_product_attention(queries, known[0], known[1]))

    def _project(self, h: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, `(B, HEADS, T, WIDTH / HEADS)` each."""
        projected: Tensor = self.queries_keys_values(self.attention_norm(h))
        parts: Tensor = projected.unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        return parts.unbind(0)

    def _finish(self, h: Tensor, found: Tensor) -> Tensor:
        h = h + self.leave_attention(found.transpose(1, 2).flatten(2))
        changed: Tensor = h + self.perceptron(self.perceptron_norm(h))
        return changed


@final
class CodePrior(nn.Module):
    """p(c|y) of codes; `training/code_fit.py` fits it.

    Example:
        >>> import torch
        >>> prior = CodePrior((7, 7), codebook_size=512)
        >>> codes = prior.sample(4, Noise(0))
        >>> codes.shape, torch.allclose(prior.log_prob(codes), -49 * torch.tensor(512.0).log())
        (torch.Size([4, 7, 7]), True)

    Args:
        codes_shape: of the codes of an item: `(T,)`, `(h, w)` or `(T, h, w)`, perhaps with a last
            axis for the stages of a residual quantizer.
        codebook_size: K.
        stages: the length of that last axis, where each stage has a codebook of its own; otherwise
            1.
        condition: the width W of y; 0 is no condition.
    """

    def __init__(
        self,
        codes_shape: tuple[int, ...],
        codebook_size: int,
        stages: int = 1,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.codes_shape, self.codebook_size, self.stages = codes_shape, codebook_size, stages
        self.positions = prod(codes_shape)
        self.codes = nn.Embedding(stages * codebook_size, WIDTH)
        self.places = nn.Parameter(0.1 * torch.randn(self.positions, WIDTH))
        self.start = nn.Linear(condition, WIDTH) if condition else None
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.leave = nn.ModuleList(nn.Linear(WIDTH, codebook_size) for _ in range(stages))
        nn.init.normal_(self.codes.weight, std=0.1)
        for last in self.leave.parameters():
            nn.init.zeros_(last)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.places.device

    def forward(self, codes: Tensor, y: Tensor | None = None) -> Tensor:
        """The logits of each code, given those before it.

        Args:
            codes: int64 `(B, *codes_shape)`.
            y: the condition of each item, `(B, W)`.

        Returns:
            `(B, T, K)`.
        """
        known = codes.flatten(1)[:, :-1]
        h = torch.cat([self._first(len(codes), y), self._embed(known)], 1) + self.places
        for block in self.blocks:
            h = block(h)
        h = self.norm(h)
        logits = [leave(h[:, stage :: self.stages]) for stage, leave in enumerate(self.leave)]
        return torch.stack(logits, 2).flatten(1, 2)

    def _first(self, count: int, y: Tensor | None) -> Tensor:
        """What stands before the codes of `count` items: their condition, `(count, 1, WIDTH)`."""
        if self.start is None:
            return self.places.new_zeros(count, 1, WIDTH)
        first: Tensor = self.start(y)[:, None]
        return first

    def _embed(self, codes: Tensor) -> Tensor:
        """The embeddings of the first codes of items, `(B, t)` to `(B, t, WIDTH)`."""
        stage = torch.arange(codes.shape[1], device=codes.device) % self.stages
        embedded: Tensor = self.codes(codes + self.codebook_size * stage)
        return embedded

    def log_prob(self, codes: Tensor, y: Tensor | None = None) -> Tensor:
        """Log p(c|y) of codes `(B, *codes_shape)`, in nats: `(B,)`; the arguments of `forward`."""
        logits = self(codes, y).flatten(0, 1)
        lengths = F.cross_entropy(logits, codes.flatten(), reduction="none")
        return -lengths.view(len(codes), -1).sum(1)

    @torch.no_grad()
    def code_lengths(self, codes: Tensor, y: Tensor | None = None) -> Tensor:
        """−log p(c|y) of any number of codes, some at a time: `(N,)` on the CPU."""
        size = self._chunk_length(self.codebook_size)
        parts = zip(codes.split(size), split_or_none(y, size, len(codes)), strict=True)
        return torch.cat([-self.log_prob(*self.own(some, y)).cpu() for some, y in parts])

    def own(self, codes: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Codes and their conditions on the device of the prior."""
        return codes.to(self.device), None if y is None else y.to(self.device)

    def sample(
        self, count: int, noise: Noise, temperature: float = 1.0, y: Tensor | None = None
    ) -> Tensor:
        """`count` independent samples, int64 `(count, *codes_shape)`.

        Args:
            count: their number.
            noise: the source of the random numbers, on the device of the prior.
            temperature: the logits are divided by it: below 1, codes are more often the most
                probable ones.
            y: the condition of each, `(count, W)`, or of all, `(1, W)`.
        """
        size = self._chunk_length(2 * BLOCKS * WIDTH)
        uniform = noise.uniform_like(self.places.new_empty(count, self.positions)).split(size)
        parts = zip(uniform, split_or_none(y, size, count), strict=True)
        codes = torch.cat([self.from_uniform(some, temperature, y) for some, y in parts])
        return codes.view(count, *self.codes_shape)

    @torch.no_grad()
    def from_uniform(
        self, uniform: Tensor, temperature: float = 1.0, y: Tensor | None = None
    ) -> Tensor:
        """The codes to which uniform numbers from [0, 1) lead, `(B, T)` to int64 `(B, T)`.

        Each code is where the cumulative distribution, given the codes before, exceeds its number.
        """
        count = len(uniform)
        codes = torch.empty(count, self.positions, dtype=torch.int64, device=uniform.device)
        shape = BLOCKS, 2, count, HEADS, self.positions, WIDTH // HEADS
        past, h = uniform.new_empty(shape), self._first(count, y)
        for position in range(self.positions):
            logits = self._next(h, past, position) / max(temperature, MIN_TEMPERATURE)
            cumulative = logits.softmax(1).cumsum(1)
            threshold = uniform[:, position, None] * cumulative[:, -1:]
            chosen = torch.searchsorted(cumulative, threshold, right=True)[:, 0]
            codes[:, position] = chosen.clamp(max=self.codebook_size - 1)
            h = self.codes(codes[:, position] + self.codebook_size * (position % self.stages))
            h = h[:, None]
        return codes

    def _next(self, h: Tensor, past: Tensor, position: int) -> Tensor:
        """The logits `(B, K)` at a position, given the embedding of what stands before it."""
        h = h + self.places[position]
        for block, own in zip(self.blocks, past, strict=True):
            assert isinstance(block, Block)
            h = block.next(h, own, position)
        logits: Tensor = self.leave[position % self.stages](self.norm(h[:, 0]))
        return logits

    def _chunk_length(self, values: int) -> int:
        """How many items fit into the memory with so many values for each position."""
        return max(1, int(CHUNK_BYTES / (4 * self.positions * values)))


def split_or_none(y: Tensor | None, size: int, count: int) -> tuple[Tensor | None, ...]:
    """Conditions `(count, W)`, or `(1, W)`, in parts of a size; so many times None if y is None."""
    return (None,) * -(-count // size) if y is None else y.expand(count, -1).split(size)


@final
class CodeSampler:
    """A `LatentSampler` that embeds codes of a prior.

    Args:
        prior: that was fitted.
        embed: makes latents `(B, *event)` of codes `(B, *codes_shape)`, as the quantizer does.
    """

    def __init__(self, prior: CodePrior, embed: Callable[[Tensor], Tensor]) -> None:
        self.prior, self.embed = prior, embed

    @torch.no_grad()
    def sample(
        self, count: int, noise: Noise, temperature: float = 1.0, y: Tensor | None = None
    ) -> Tensor:
        """`count` independent samples, `(count, *event)`, with the arguments of the prior."""
        latents: Tensor = self.embed(self.prior.sample(count, noise, temperature, y))
        return latents
