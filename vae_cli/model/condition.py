"""What a model is conditioned on.

A conditional model is one of p(x|y): its encoder, its decoder and, where chosen, its prior are told
the condition y of an item, such as its class (Sohn, Lee & Yan, 2015,
https://papers.nips.cc/paper/5775).

    log p(x|y) ≥ E_q(z|x,y) [log p(x|z, y)] − KL(q(z|x, y) ‖ p(z|y))

The latents then need not tell what y tells already. A condition is a row of a table, with a column
for each fact, and is encoded like one. A missing value is a value too, so a model can learn from
items whose condition is not known, and can be sampled without one: in each step of a training, the
condition of some items is hidden from it (Ho & Salimans, 2022, https://arxiv.org/abs/2207.12598).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Self, final

import torch
from torch import Tensor, nn

from vae_cli.data.streamed import SplitT
from vae_cli.model.table_codec import TableCodec
from vae_cli.noise import Noise

KEPT = 4096  # conditions of training items that a model keeps


@final
class KnownConditions(nn.Module):
    """Conditions of some items of the training set, to draw one that goes with no other item.

    They are in float64, so they stay on the processor as those of `TableCodec` do. In a checkpoint,
    every number is finite, so what is not known is kept beside them.

    Args:
        rows: float64 `(KEPT, C)`, with NaN for what is not known.
    """

    values: Tensor
    missing: Tensor

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", rows.nan_to_num(0.0))
        self.register_buffer("missing", rows.isnan().byte())

    @property
    def rows(self) -> Tensor:
        """The conditions, float64 `(KEPT, C)`, with NaN for what is not known."""
        return torch.where(self.missing > 0, torch.nan, self.values)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:  # noqa: ARG002
        return self  # called by .to(), .cuda(), .half() and the like


def keep_some(rows: Tensor) -> Tensor:
    """Conditions `(KEPT, C)` of random items among all N, each as often as another if N is small.

    Args:
        rows: of the training set, float64 `(N, C)`.
    """
    generator = torch.Generator().manual_seed(0)
    rounds = -(-KEPT // len(rows))
    places = [torch.randperm(len(rows), generator=generator) for _ in range(rounds)]
    return rows[torch.cat(places)[:KEPT]]


@final
class Condition(nn.Module):
    """The conditions of items as networks take them.

    Args:
        codec: of the columns of a condition, with indicators of missing values.
        dropout: the share of items whose condition is hidden in a training step.
        known: conditions of the training set `(N, C)`, of which some are kept; None if they are
            loaded afterwards.

    Attributes:
        none: the encoding of a condition that is not known, float32 `(W,)`.
        known: conditions of some training items, as they are.

    Example:
        >>> import torch
        >>> from vae_cli.data.columns import Column
        >>> from vae_cli.data.split import InMemory
        >>> from vae_cli.model.table_codec import RowLayout, fit_codec
        >>> label = Column(name="label", kind="category", categories=("Bag", "Coat"))
        >>> known = torch.tensor([[0.0], [1.0]]).double()
        >>> layout = RowLayout((label,), has_indicators=True)
        >>> condition = Condition(fit_codec(layout, InMemory.whole(known), "quantile"))
        >>> condition.encode(known)
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
        >>> condition(None, 1)
        tensor([[0., 0., 1.]])
    """

    none: Tensor

    def __init__(
        self, codec: TableCodec, dropout: float = 0.0, known: Tensor | None = None
    ) -> None:
        super().__init__()
        self.codec, self.dropout = codec, dropout
        count = len(codec.layout.columns)
        unknown = torch.full((KEPT, count), torch.nan, dtype=torch.float64)
        self.known = KnownConditions(unknown if known is None else keep_some(known))
        values, categories, indicators = codec.layout.parts
        nothing, missing = torch.zeros(values + categories), torch.ones(indicators)
        self.register_buffer("none", torch.cat([nothing, missing]))

    @property
    def width(self) -> int:
        """W, the number of values of an encoded condition."""
        return self.codec.layout.width

    def encode(self, rows: Tensor) -> Tensor:
        """Conditions `(B, C)`, float64 with NaN for what is not known, as float32 `(B, W)`."""
        return self.codec.encode(rows)

    def decode(self, y: Tensor) -> Tensor:
        """Conditions `(B, C)` in float64 for encoded ones `(B, W)`."""
        return self.codec.decode(y)

    def of_categories(self, place: int, categories: int, each: int) -> Tensor:
        """Conditions `(N, C)`, `each` of the first category of a column, and so on, in float64.

        What else they tell is as in training items of the category, so that networks know it.

        Args:
            place: of the column.
            categories: how many of its categories.
            each: conditions of a category.
        """
        known, found = self.known.rows, []
        for category in range(categories):
            own = known[known[:, place] == category]
            if not len(own):
                own = torch.full_like(known[:1], torch.nan)
                own[:, place] = category
            found.append(own[torch.arange(each) % len(own)])
        return torch.cat(found)

    def encode_split(self, split: SplitT) -> SplitT:
        """A part of a data set whose conditions are encoded, if it has any."""
        if split.condition is None:
            return split
        return replace(split, condition=self.encode(split.condition))

    def forward(self, y: Tensor | None, count: int) -> Tensor:
        """The conditions of so many items as networks take them.

        Args:
            y: encoded, `(count, W)`, or `(1, W)` for all; None if they are not known.
            count: the number of items.
        """
        return (self.none if y is None else y).expand(count, -1)

    def drop(self, y: Tensor, noise: Noise) -> Tensor:
        """Encoded conditions `(B, W)`, of which some are hidden at random."""
        if not self.dropout:
            return y
        hidden = noise.bernoulli(torch.full_like(y[:, :1], self.dropout))
        return torch.where(hidden > 0, self.none, y)
