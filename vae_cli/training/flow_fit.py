"""Fitting a flow to the latents of a trained model (latent/flow_matching.py).

Each step takes other items, and another sample of the posterior of each, so that the flow learns
the distribution of all latents, ∫ q(z|x) p(x) dx, and not a few thousand points by heart.
"""

from collections.abc import Mapping
from functools import partial
from typing import final

import torch
from torch import Tensor

from vae_cli.data.dataset import Progress, ignore_progress
from vae_cli.latent.flow_matching import FittedFlow
from vae_cli.model import Posterior
from vae_cli.noise import Noise, derive_seed
from vae_cli.training.fitting import Fit
from vae_cli.training.optimizers import Adam
from vae_cli.training.schedules import cosine

PASSES, BATCH_SIZE = 140, 256
MIN_STEPS, MAX_STEPS = 1000, 16_406  # at most 70 passes of 60,000 items
LEARNING_RATE, WARMUP = 4e-3, 0.05
INTERVAL = 50  # steps between two calls of progress


@final
class FlowFit(Fit):
    """A flow that is being fitted on the CPU, with everything that changes meanwhile.

    Args:
        latent_dim: D.
        items: the number of items whose latents it is fitted to.
        seed: from which those of the first weights and of the noise are derived.

    Attributes:
        flow: what is fitted.
    """

    def __init__(self, latent_dim: int, items: int, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(seed, "weights"))
            self.flow = FittedFlow(latent_dim)
        optimizer = Adam(dict(self.flow.named_parameters()))
        steps = max(MIN_STEPS, min(MAX_STEPS, PASSES * items // BATCH_SIZE))
        super().__init__(optimizer, Noise(derive_seed(seed, "noise")), steps)

    def run(self, posterior: Posterior, progress: Progress = ignore_progress) -> FittedFlow:
        """Do the steps that are left.

        Args:
            posterior: of all items, `(N, D)` on the CPU.
            progress: called first, and now and then, with the number of steps so far, and of all.
                The fit is then between two steps, and stays so if `progress` raises an exception.
        """
        self.flow.whiten(posterior)
        rate = cosine(LEARNING_RATE, self.steps, WARMUP)
        progress(self.step, self.steps)
        while self.step < self.steps:
            items = self.noise.integers(len(posterior), BATCH_SIZE)
            z = posterior[items].rsample(1, self.noise)[0]
            self.descend(partial(self.flow.loss, z, self.noise), rate(self.step))
            if self.step % INTERVAL == 0:
                progress(self.step, self.steps)
        return self.flow.requires_grad_(requires_grad=False)

    def parts(self) -> dict[str, Mapping[str, Tensor]]:
        """The flow."""
        return {"flow": self.flow.state_dict()}
