"""What an objective is.

Losses are minimized, in nats: sums over an item, means over a batch. Every objective reports the KL
and the distortion of each item among its terms, so that runs with different objectives can be
compared. The sign flips only in the objectives.

An objective may own networks that learn by a loss of their own, such as the critic of a total
correlation or of a picture. Each of them is a player of the training beside the model: it has its
own optimizer, and a step moves all players from the same point,

    θ_i ← θ_i − α_i ∂ L_i / ∂ θ_i        L_i(θ_1, …, θ_n), one loss for each player i

It learns as the model does, by the settings of the optimizer, or as the objective says: `Learning`.

An objective may be given a part of a batch, if several processes share it. Its loss is the mean
over its own items; the losses of all parts, weighted by their numbers of items, are that of the
batch. What compares items with each other takes them from the whole batch: `Context.whole`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, final

from torch import Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.model.inference import Inference
from vae_cli.model.reductions import Whole, undivided
from vae_cli.noise import Noise


@dataclass(frozen=True)
class Context:
    """What an objective is given besides a batch and its inference.

    Attributes:
        warmup: a scalar from 0 to 1 that rises during the training; 1 outside of it. In a training
            step it is a tensor on the device.
        data_size: the number of items in the training set, also in an evaluation.
        noise: the source of random numbers.
        infer: the model's pass of other items of this step, with as many samples as are given, as
            the inference that the objective is given was made. It is for what compares several
            conditions of an item, or several items in the place of one; None outside of a training
            and of its evaluation.
        whole: makes of values `(B_r, ...)` of the items of this part those `(B, ...)` of all items
            of the batch, in their order. Gradients flow back to the process of each item. All
            processes must call it equally often, with the same shape apart from `B_r`. The same
            tensor if the batch is not divided.

    Example:
        >>> import torch
        >>> context = Context(1.0, 100, Noise(0))
        >>> kl = torch.tensor([1.0, 3.0])
        >>> context.whole(kl).mean()  # of the batch, in whichever process this is
        tensor(2.)
    """

    warmup: Tensor | float
    data_size: int
    noise: Noise
    whole: Whole = undivided
    infer: Callable[[Batch, int], Inference] | None = None

    def own(self, values: Tensor) -> Tensor:
        """Those `(B_r, ...)` of the items of this part, of the values `(B, ...)` of all items."""
        part = self.noise.part
        return values if part is None else values.narrow(0, *part.range)


@dataclass(frozen=True)
class Loss:
    """The losses of one batch.

    Attributes:
        losses: one scalar for each player, the mean over the items: that of `model`, and those of
            the networks that the objective owns, by their names.
        terms: what the loss consists of, in nats, detached: `(B,)`, or a scalar that belongs to the
            batch as a whole. `kl` is the KL of all latents, and the likelihood's `distortion_name`
            is its distortion.
        items: B.
        statistics: what the model learns from besides its loss, summed over the items; the step
            takes it from the inference. See `LatentModel.absorb`.
    """

    losses: dict[str, Tensor]
    terms: dict[str, Tensor]
    items: int
    statistics: dict[str, Tensor] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Learning:
    """How a network that an objective owns learns: by Adam with a constant learning rate.

    A critic often needs another rate than the model, and less memory of its gradients: what it
    tells apart moves while it learns.

    Attributes:
        rate: α.
        betas: β₁ and β₂, the decay of the two moments of the gradients.
    """

    rate: float
    betas: tuple[float, float] = (0.9, 0.999)


class Objective(nn.Module, ABC):
    """Computes the losses of a batch from its items and their inference.

    A module inside of it is a network that it owns. One with parameters to learn is a player, whose
    loss has the name of the attribute; one without, such as a network that extracts features, only
    moves to the device with the objective.

    Attributes:
        samples: the number of posterior samples per item that the inference must have.
        terms: the names of the terms of its losses, without that of the likelihood.
        partial_terms: those of them that are defined for some items only, such as those with a
            label. They are not a number for the others, and do not count there.
    """

    samples: int = 1
    terms: ClassVar[tuple[str, ...]] = ("kl",)
    partial_terms: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The losses of a batch."""

    def networks(self) -> dict[str, nn.Module]:
        """The networks to learn that the objective owns, by name."""
        return {
            name: module
            for name, module in self.named_children()
            if any(parameter.requires_grad for parameter in module.parameters())
        }

    def learning(self) -> dict[str, Learning]:
        """How those of its networks learn that do not learn as the model does, by name."""
        return {}
