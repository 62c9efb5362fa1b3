"""What a prior p(z) is, and the normal ones."""

from abc import ABC, abstractmethod
from math import prod
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model.posterior import DiagonalNormal, LatentPrior, UnitNormal
from vae_cli.noise import Noise


class Prior(nn.Module, ABC):
    """A module that makes the distribution p(z) which the KL term pulls the posteriors towards.

    It is called once in every pass through a model, and what it returns is used for the whole pass:
    a prior that has to compute something, such as the posteriors of pseudo-inputs, does it once,
    in the precision of the pass.

    Example:
        >>> import torch
        >>> from vae_cli.model import StandardNormal
        >>> from vae_cli.noise import Noise
        >>> prior = StandardNormal(20)()
        >>> z = prior.sample(4, Noise(0))
        >>> z.shape, prior.log_prob(z).shape
        (torch.Size([4, 20]), torch.Size([4]))

    Attributes:
        event_shape: of the latents of one item.
    """

    event_shape: tuple[int, ...]

    @property
    def latent_dim(self) -> int:
        """The number of all latent dimensions of an item."""
        return prod(self.event_shape)

    def restrict(self, z: Tensor) -> Tensor:
        """The nearest latents that there are to `z` `(..., *event)`; the same ones if all are.

        A decoder has never seen others, which a shift or a straight line leads to.
        """
        return z

    @abstractmethod
    def forward(self, y: Tensor | None = None) -> LatentPrior:
        """P(z), or p(z|y).

        Args:
            y: the conditions of B items as the networks take them, `(B, W)`; None if there are
                none. A prior that depends on them is a distribution for each item, whose parameters
                have the axes `(B, *event)`.
        """

    def sample(
        self, count: int, noise: Noise, temperature: float = 1.0, y: Tensor | None = None
    ) -> Tensor:
        """Samples of p(z), or one of p(z|y) for each condition: a prior is a `LatentSampler`."""
        distribution: LatentPrior = self(y)
        return distribution.sample(count, noise, temperature)


@final
class StandardNormal(Prior):
    """p(z) = N(0, I).

    Args:
        event_shape: of the latents of one item: D, or C, H and W.
    """

    mean: Tensor

    def __init__(self, *event_shape: int) -> None:
        super().__init__()
        self.event_shape = event_shape
        self.register_buffer("mean", torch.zeros(event_shape))

    def forward(self, y: Tensor | None = None) -> UnitNormal:  # noqa: ARG002
        """N(0, I)."""
        return UnitNormal(self.mean)


@final
class ConditionalNormal(Prior):
    """p(z|y) = N(μ(y), diag σ²(y)), a normal distribution for each condition (Sohn et al., 2015).

    With it, the latents may tell the condition too, and a sample of a class is one of its latents.
    It starts as N(0, I) for every condition.

    Args:
        latent_dim: D.
        condition: W, the values of a condition.
        hidden: width of the hidden layer.
    """

    def __init__(self, latent_dim: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.event_shape = (latent_dim,)
        self.layers = nn.Sequential(nn.Linear(condition, hidden), nn.ReLU())
        self.project = nn.Linear(hidden, 2 * latent_dim)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, y: Tensor | None = None) -> DiagonalNormal:
        """One distribution for each condition `(B, W)`: parameters `(B, D)`.

        Raises:
            ValueError: there is no condition.
        """
        if y is None:
            raise ValueError("this prior depends on a condition, and was given none")
        mean, log_variance = self.project(self.layers(y)).float().chunk(2, -1)
        return DiagonalNormal(mean, log_variance)
