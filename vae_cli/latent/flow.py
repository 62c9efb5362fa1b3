"""A flow that is fitted to latents: RealNVP after the training, in place of a mixture.

    log q(z) = log p_flow((z − μ) / σ) − Σ log σ,    fitted by maximum likelihood

with the mean μ and the standard deviation σ of the latents, so that the flow starts near to them.
"""

from typing import final

import torch
from torch import Generator, Tensor

from vae_cli.model import Prior, RealNVP

LAYERS, HIDDEN = 6, 64
STEPS, BATCH_SIZE, LEARNING_RATE = 2000, 512, 3e-3
MIN_SCALE = 1e-6  # of a dimension that does not vary


@final
class FittedFlow(Prior):
    """The flow.

    Args:
        latent_dim: D, at least 2.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.flow = RealNVP(latent_dim, LAYERS, HIDDEN)
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    def sample(
        self, count: int, generator: Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`count` independent samples, `(count, D)`."""
        return self.mean + self.scale * self.flow.sample(count, generator, temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(..., D)`, in nats: `(...)`."""
        return self.flow.log_prob((z - self.mean) / self.scale) - self.scale.log().sum()


def fit_flow(points: Tensor, seed: int) -> FittedFlow:
    """Fit a flow to points on the CPU.

    Args:
        points: `(N, D)`, at least two of at least two dimensions.
        seed: of its first weights, and of the order of the points.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        flow = FittedFlow(points.shape[1])
    flow.mean.copy_(points.mean(0))
    flow.scale.copy_(points.std(0).clamp(min=MIN_SCALE))
    generator = Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(flow.parameters(), fused=True)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    with torch.enable_grad():
        for _ in range(STEPS):
            some = points[torch.randint(len(points), (BATCH_SIZE,), generator=generator)]
            optimizer.zero_grad()
            (-flow.log_prob(some).mean()).backward()
            optimizer.step()
            rates.step()
    return flow.requires_grad_(requires_grad=False)
