"""Random numbers: streams that are derived from one seed by name, and the source of one stream.

Every random number comes from a source that is passed to where it is drawn; nothing is drawn from
torch's global generator. Two streams with different names are independent, so that, for example,
the weights of a model and the noise of its first step have nothing in common.

In a training on several processes, each holds a part of every batch. All of them draw the numbers
for the whole batch and keep those of their part. Together they therefore have exactly the noise
that one process would have had, and their generators stay equal. The same holds if one process
computes a batch in several parts: what the first part draws is kept for the others, because the
generator of a captured step cannot be set back.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor

CPU = torch.device("cpu")


def derive_seed(seed: int, name: str, number: int = 0) -> int:
    """The seed of one stream of random numbers.

    Args:
        seed: of the whole run.
        name: of the stream: `weights`, `noise`, `order`, `evaluation`.
        number: of an epoch or an item, which then has a stream of its own. Numbers below 2³² never
            share one, because a number is added and not hashed.

    Example:
        >>> first, second = derive_seed(0, "order", 1), derive_seed(0, "order", 2)
        >>> second - first, derive_seed(0, "noise", 1) == first
        (1, False)
    """
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return (int.from_bytes(digest[:8]) + number) % 2**63


@dataclass(frozen=True)
class Part:
    """The items of a batch that a process holds.

    Attributes:
        start: the place of the first one in the whole batch.
        length: their number.
        total: the number of items in the whole batch.
    """

    start: int
    length: int
    total: int

    @property
    def range(self) -> tuple[int, int]:
        """The start and the length, as `Tensor.narrow` takes them."""
        return self.start, self.length


@final
class Noise:
    """One source of random numbers; it draws for a whole batch and returns the part of its process.

    A shape is always that of the process's own part, and `batch_axis` says along which axis the
    items lie: 1 for K samples of B latents, `(K, B, D)`.

    Example:
        >>> whole, first, second = (Noise(0) for _ in range(3))
        >>> z = whole.normal((4, 2))
        >>> parts = [noise.for_part(Part(start, 2, 4)).normal((2, 2))
        ...          for noise, start in ((first, 0), (second, 2))]
        >>> torch.cat(parts).equal(z)
        True

    Args:
        seed: of the stream; None takes one that nobody can know.
        device: where the numbers are drawn; on `meta`, there are none, but their shapes are.
        part: of the batch that this process holds; None if it holds all of it.
    """

    def __init__(
        self, seed: int | None, device: torch.device = CPU, part: Part | None = None
    ) -> None:
        self.generator = Generator(CPU if device.type == "meta" else device)
        self.device, self.part = device, part
        self._kept: list[Tensor] | None = None
        self._position = 0
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(seed)

    def for_part(self, part: Part | None) -> "Noise":
        """The same source, from which another part of a batch is drawn."""
        return self if part == self.part else self._copy(part, None)

    def for_parts(self, parts: Sequence[Part]) -> "list[Noise]":
        """The same source for several parts of one batch, which draw the same in the same order.

        What is drawn first for the whole batch is kept, as long as these sources are, and each part
        gets its part of it.
        """
        kept: list[Tensor] = []
        return [self._copy(part, kept) for part in parts]

    def _copy(self, part: Part | None, kept: list[Tensor] | None) -> "Noise":
        noise = object.__new__(Noise)
        noise.generator, noise.device, noise.part = self.generator, self.device, part
        noise._kept, noise._position = kept, 0
        return noise

    def state(self) -> Tensor:
        """What decides all numbers that follow: uint8, as many as the device needs."""
        return self.generator.get_state()

    def restore(self, state: Tensor) -> None:
        """Go on from a state.

        Raises:
            RuntimeError: these bytes are not the state of a generator of this device.
        """
        self.generator.set_state(state)

    def normal(
        self, shape: Sequence[int], batch_axis: int = 0, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Samples from N(0, 1)."""
        whole = self._whole(shape, batch_axis)

        def draw() -> Tensor:
            empty = torch.empty(whole, dtype=dtype, device=self.device)
            return empty.normal_(generator=self.generator)

        return self._own(draw, batch_axis)

    def normal_like(self, x: Tensor, batch_axis: int = 0) -> Tensor:
        """Samples from N(0, 1) with the shape, type and layout in memory of `x`."""
        return self._fill(x, batch_axis, lambda t: t.normal_(generator=self.generator))

    def uniform_like(
        self, x: Tensor, low: float = 0.0, high: float = 1.0, batch_axis: int = 0
    ) -> Tensor:
        """Samples from U(low, high) with the shape, type and layout in memory of `x`."""
        return self._fill(x, batch_axis, lambda t: t.uniform_(low, high, generator=self.generator))

    def exponential_like(self, x: Tensor, batch_axis: int = 0) -> Tensor:
        """Samples from Exp(1) with the shape, type and layout in memory of `x`."""
        return self._fill(x, batch_axis, lambda t: t.exponential_(generator=self.generator))

    def bernoulli(self, probability: Tensor, batch_axis: int = 0) -> Tensor:
        """Each value is 1 with its probability, and 0 otherwise.

        The first of several parts does not know the probabilities of the others, so that uniform
        numbers are kept for them: the draws are other ones than those for a batch in one piece.
        """
        if self.part is None:
            return torch.bernoulli(probability, generator=self.generator)
        if self._kept is not None:
            uniform = self.uniform_like(probability, batch_axis=batch_axis)
            return (uniform < probability).to(probability.dtype)
        whole = self._empty_like(probability, batch_axis).zero_()
        self._narrow(whole, batch_axis).copy_(probability)
        return self._narrow(torch.bernoulli(whole, generator=self.generator), batch_axis)

    def integers(self, end: int, count: int, *shape: int) -> Tensor:
        """Integers from 0 to `end` − 1: one for each item, `(count,)`, or `(count, *shape)`."""
        shape = tuple(self._whole((count, *shape), 0))
        return self._own(
            lambda: torch.randint(end, shape, device=self.device, generator=self.generator), 0
        )

    def shared_integers(self, end: int, shape: Sequence[int]) -> Tensor:
        """Integers from 0 to `end` − 1 of no single item: all parts of a batch get the same."""
        return self._whole_draw(
            lambda: torch.randint(end, shape, device=self.device, generator=self.generator)
        )

    def choice(self, weights: Tensor, count: int) -> Tensor:
        """One index into `weights` `(N,)` for each item, with these probabilities: `(count,)`."""
        (total,) = self._whole((count,), 0)
        return self._own(
            lambda: torch.multinomial(weights, total, replacement=True, generator=self.generator), 0
        )

    def _fill(self, x: Tensor, batch_axis: int, fill: Callable[[Tensor], Tensor]) -> Tensor:
        return self._own(lambda: fill(self._empty_like(x, batch_axis)), batch_axis)

    def _empty_like(self, x: Tensor, batch_axis: int) -> Tensor:
        """Memory for the whole batch, laid out as torch does it for the whole of `x`.

        The axes that lie around the batch are farther from each other there. An axis that is
        expanded has no place in memory, and a part of one item none that is its own, so that the
        order of the strides alone would be another one than that of the whole.
        """
        if self.part is None:
            return torch.empty_like(x)
        whole, own = self._whole(x.shape, batch_axis), x.stride(batch_axis)
        strides = [
            stride * self.part.total if axis != batch_axis and stride >= own else stride
            for axis, stride in enumerate(x.stride())
        ]
        layout = torch.empty_like(torch.empty_strided(whole, strides, device="meta"))
        return x.new_empty_strided(whole, layout.stride())

    def _whole(self, shape: Sequence[int], batch_axis: int) -> list[int]:
        """The shape of the whole batch, for the shape of a part."""
        whole = list(shape)
        if self.part is not None:
            if whole[batch_axis] != self.part.length:
                raise ValueError(f"axis {batch_axis} of {whole} has not {self.part.length} items")
            whole[batch_axis] = self.part.total
        return whole

    def _own(self, draw: Callable[[], Tensor], batch_axis: int) -> Tensor:
        """This part of what is drawn for the whole batch."""
        return self._narrow(self._whole_draw(draw), batch_axis)

    def _whole_draw(self, draw: Callable[[], Tensor]) -> Tensor:
        """What is drawn for the whole batch, or was for an earlier part of it."""
        if self._kept is None:
            return draw()
        if self._position == len(self._kept):
            self._kept.append(draw())
        self._position += 1
        return self._kept[self._position - 1]

    def _narrow(self, whole: Tensor, batch_axis: int) -> Tensor:
        if self.part is None:
            return whole
        return whole.narrow(batch_axis, *self.part.range)


ROWS_OF_STREAM = 16  # of a data set, whose numbers are drawn together


def uniform_by_row(name: str, rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Numbers from U(0, 1) that belong to the rows of a data set, on the CPU.

    A row has the same numbers whatever other rows are asked for. Several neighbours share a stream,
    because starting one takes as long as drawing a thousand numbers.

    Args:
        name: of the streams.
        rows: int64 `(N,)`.
        shape: of the numbers of each row.

    Returns:
        `(N, *shape)`.

    Example:
        >>> whole = uniform_by_row("example", torch.arange(100), (3,))
        >>> uniform_by_row("example", torch.tensor([70, 5]), (3,)).equal(whole[[70, 5]])
        True
    """
    rows, values = rows.cpu(), torch.empty(len(rows), *shape)
    streams = rows // ROWS_OF_STREAM
    for stream in streams.unique().tolist():
        places = (streams == stream).nonzero()[:, 0]
        noise, empty = Noise(derive_seed(0, name, stream)), torch.empty(ROWS_OF_STREAM, *shape)
        values[places] = noise.uniform_like(empty)[rows[places] % ROWS_OF_STREAM]
    return values
