"""The averages of an epoch: sums over items that stay on the device until they are read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from vae_cli.model import CodeUsage, LatentModel, Loss, Objective
from vae_cli.training.world import World

ACTIVE_THRESHOLD = 0.01  # nats of KL; a latent dimension with less carries no information


@dataclass(frozen=True)
class Metrics:
    """Averages over items.

    Attributes:
        loss: what is minimized.
        terms: its terms in nats, by name, and the losses of players other than the model. `kl` is
            not weighted by β.
        elbo: the evidence lower bound in nats, with the constant of the likelihood; only of an
            evaluation.
        kl_by_dim: KL by latent dimension, `(D,)`, on the CPU; only of an evaluation, and
            None if it is not known.
        codes: how the codes of the items are distributed; only of an evaluation, and None if the
            latents are no codes.
    """

    loss: float
    terms: dict[str, float]
    elbo: float = float("nan")
    kl_by_dim: Tensor | None = None
    codes: CodeUsage | None = None

    @property
    def active(self) -> int | None:
        """The number of latent dimensions that carry information about an item, if it is known."""
        return None if self.kl_by_dim is None else int((self.kl_by_dim > ACTIVE_THRESHOLD).sum())


@dataclass(frozen=True)
class EpochReport:
    """The metrics at the end of an epoch; `seconds` is the time of its training part."""

    epoch: int
    train: Metrics
    test: Metrics
    seconds: float


@final
class Totals:
    """Sums over items: the losses, and each of their terms.

    Args:
        names: of all sums: `loss` of the model, the losses of the other players, and the terms. A
            term that is defined for some items has a sum of their number besides, `count_name`.
        device: where the sums are.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self.count = 0
        self.sums = {name: torch.zeros((), device=device) for name in names}

    @property
    def partial_terms(self) -> list[str]:
        """The terms that are averaged over some of the items."""
        return [name for name in self.sums if count_name(name) in self.sums]

    def add(self, loss: Loss) -> None:
        """Add a batch, each item with the same weight, so that a short last batch counts less.

        The sums are changed in place, because a captured step needs them at a fixed address. The
        caller adds to `count`, which a captured step cannot do.
        """
        for player, value in loss.losses.items():
            self.sums[loss_name(player)].add_(value.detach(), alpha=loss.items)
        for name, term in loss.terms.items():
            if (defined := count_name(name)) in self.sums:
                self.sums[name].add_(term.nan_to_num().sum())
                self.sums[defined].add_(term.isfinite().sum())
            elif term.ndim:
                self.sums[name].add_(term.sum())
            else:
                self.sums[name].add_(term, alpha=loss.items)

    def gather(self, world: World) -> "Totals":
        """The sums of all processes, which from now on are those of process 0.

        The others go on from 0, so that each item counts once, and so that what process 0 saves is
        the whole. All of them must call this at the same steps: a run that stops there and goes on
        adds the same numbers in the same order as one that never stopped.
        """
        if world.size == 1:
            return self
        whole = Totals(list(self.sums), next(iter(self.sums.values())).device)
        whole.count = self.count
        whole.sums = dict(zip(self.sums, world.sum(list(self.sums.values())), strict=True))
        for name, own in self.sums.items():
            own.copy_(whole.sums[name])
        self.leave_to_first(world)
        return whole

    def leave_to_first(self, world: World) -> None:
        """Let the sums be those of process 0 alone."""
        if world.rank > 0:
            for own in self.sums.values():
                own.zero_()

    def are_finite(self) -> bool:
        """Whether every loss was a finite number. Waits for the device."""
        return bool(torch.stack([*self.sums.values()]).isfinite().all())

    def clear(self) -> None:
        """Start again from zero, in the same memory."""
        self.count = 0
        for total in self.sums.values():
            total.zero_()

    def mean(self) -> Metrics:
        """The averages over the items; not a number of none. Waits for the device."""
        sums = dict(zip(self.sums, torch.stack([*self.sums.values()]).tolist(), strict=True))
        counts = {name: sums.pop(count_name(name)) for name in self.partial_terms}
        means = {
            name: total / count if (count := counts.get(name, self.count)) else math.nan
            for name, total in sums.items()
        }
        return Metrics(means.pop("loss"), means)


def names_of_totals(model: LatentModel, objective: Objective) -> list[str]:
    """What is summed up of a training or an evaluation, in the order of the columns of a table."""
    losses = map(loss_name, ("model", *objective.networks()))
    counts = map(count_name, objective.partial_terms)
    return [*losses, *objective.terms, model.likelihood.distortion_name, *counts]


COUNT = "_items"  # ends the name of the number of items for which a term is defined


def count_name(term: str) -> str:
    """What the number of items is called for which a term is defined."""
    return f"{term}{COUNT}"


def loss_name(player: str) -> str:
    """What the loss of a player is called: that of the model is the loss of the training."""
    return "loss" if player == "model" else f"{player}_loss"
