"""Fitting a prior to the codes of a trained model (latent/code_prior.py).

The loss is the code length, −log p(c|y), of random items. Part of the items is held out: now and
then their code length is measured, the weights with the shortest are what is found, and the fit
ends when it has not become shorter for some time. So a prior never has longer codes for them than
the uniform one, from which it starts.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import final

import torch
from torch import Tensor

from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.latent.code_prior import CodePrior
from vae_cli.noise import Noise, derive_seed
from vae_cli.training.fitting import Fit
from vae_cli.training.optimizers import Adam, clip_norm
from vae_cli.training.schedules import cosine

PASSES = 20
BATCH_CODES = 1600  # in a step, whose items are from 16 to 128
MIN_STEPS, MAX_STEPS = 1000, 6000
LEARNING_RATE, WARMUP, MAX_NORM = 2e-3, 0.05, 1.0
HELD_OUT, MAX_HELD_OUT = 0.05, 1000  # share of the items, and their largest number
CHECK, PATIENCE = 200, 5  # steps between two looks at them, and looks without a shorter code


@final
class CodeFit(Fit):
    """A prior over codes that is being fitted, with everything that changes meanwhile.

    Args:
        prior: what is fitted, without a step.
        items: the number of items whose codes it is fitted to.
        seed: from which those of the held-out part and of the batches are derived.
        copies: how often each item is there, with other conditions. The codes of a copy are much
            the same, so that all copies of an item are held out, or none.

    Attributes:
        prior: what is fitted.
        best: the weights with the shortest held-out code so far, by name.
        shortest: the code length of these, in nats per item.
        checks: how many looks in a row have found no shorter one.
    """

    def __init__(self, prior: CodePrior, items: int, seed: int, copies: int = 1) -> None:
        self.prior = prior
        self.held_out, self.fitted = divide(items, derive_seed(seed, "held out"), copies)
        self.batch_size = max(16, min(128, BATCH_CODES // prior.positions))
        transform = partial(clip_norm, max_norm=MAX_NORM)
        optimizer = Adam(dict(prior.named_parameters()), transform=transform)
        steps = max(MIN_STEPS, min(MAX_STEPS, PASSES * copies * items // self.batch_size))
        super().__init__(optimizer, Noise(derive_seed(seed, "noise")), steps)
        self.best = {name: tensor.clone() for name, tensor in prior.state_dict().items()}
        uniform = prior.positions * math.log(prior.codebook_size)
        self.shortest = torch.tensor(uniform, dtype=torch.float64)
        self.checks = torch.tensor(0)

    def run(
        self, codes: Tensor, y: Tensor | None = None, progress: Progress = ignore_progress
    ) -> CodePrior:
        """Do the steps that are left; the prior has the best weights then.

        Args:
            codes: of all items, and then of each other copy of them, int64 `(N, *codes_shape)`.
            y: their conditions, `(N, W)`, if the prior has any.
            progress: called first, and after each step, with the steps so far, and all of them. The
                fit is then between two steps, and stays so if `progress` raises an exception.
        """
        rate = cosine(LEARNING_RATE, self.steps, WARMUP)
        progress(self.step, self.steps)
        while self.step < self.steps and self.checks < PATIENCE:
            rows = self.fitted[self.noise.integers(len(self.fitted), self.batch_size)]
            own = self.prior.own(*choose(rows, codes, y))
            self.descend(partial(self._loss, *own), rate(self.step))
            if self.step % CHECK == 0 or self.step == self.steps:
                self._look(*choose(self.held_out, codes, y))
            progress(self.step, self.steps)
        self.prior.load_state_dict(self.best)
        return self.prior.requires_grad_(requires_grad=False)

    def _loss(self, codes: Tensor, y: Tensor | None) -> Tensor:
        return -self.prior.log_prob(codes, y).mean() / self.prior.positions

    def _look(self, codes: Tensor, y: Tensor | None) -> None:
        """Measure the code length of the held-out items, and keep the weights if it is shorter."""
        length = self.prior.code_lengths(codes, y).double().mean()
        self.checks += 1
        if length < self.shortest:
            self.shortest, self.checks = length, torch.tensor(0)
            self.best = {name: t.clone() for name, t in self.prior.state_dict().items()}

    def parts(self) -> dict[str, Mapping[str, Tensor]]:
        """The prior, the best weights so far, and what is known of them."""
        looks = {"shortest": self.shortest, "checks": self.checks}
        return {"prior": self.prior.state_dict(), "best": self.best, "looks": looks}


def divide(items: int, seed: int, copies: int) -> tuple[Tensor, Tensor]:
    """The places of the items that are held out, and of the others; a single one is both."""
    order = torch.randperm(items, generator=Noise(seed).generator)
    count = min(MAX_HELD_OUT, max(1, round(HELD_OUT * items)))
    places = order + items * torch.arange(copies)[:, None]
    held_out, others = places[:, :count], places[:, count:] if items > count else places
    return held_out.flatten(), others.flatten()


def choose(rows: Tensor, codes: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The codes of some items, and their conditions if there are any."""
    return codes[rows], None if y is None else y[rows]
