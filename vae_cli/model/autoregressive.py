"""Inverse autoregressive flows: posteriors of any shape that are drawn as fast as normal ones.

    z_0 = μ + σ ε,    z_t = m_t + s_t (z_(t−1) − m_t),    s_t = sigmoid(a_t)      for t = 1 … T
    log q(z_T|x) = log N(ε; 0, I) − Σ log σ − Σ_t Σ_j log s_t,j

Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling (2016, https://arxiv.org/abs/1606.04934, eq.
10 to 14). m_t and a_t come from a network that is masked: their dimension j sees the dimensions of
z_(t−1) before j, and the context c of the item, which the encoder makes. The Jacobian is then
triangular, with s_t on its diagonal. Steps take turns in the order of the dimensions.

Forward, all dimensions are computed at once. The density of other latents than its own samples
needs the inverse, one dimension after another.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_cli.model.heads import Head, Limits
from vae_cli.model.posterior import Drawn, Posterior, repeat_samples
from vae_cli.noise import Noise

GATE = 1.5  # added to a_t, so that a flow starts near to the identity


@final
class MaskedLinear(nn.Module):
    """A dense layer whose outputs see some of its inputs (MADE, Germain et al., 2015, eq. 8).

    Args:
        mask: which inputs each output sees, `(outputs, inputs)`.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        outputs, inputs = mask.shape
        layer = nn.Linear(inputs, outputs)
        self.weight, self.bias = layer.weight, layer.bias
        self.register_buffer("mask", mask.to(layer.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """`(..., inputs)` to `(..., outputs)`."""
        return F.linear(x, self.weight * self.mask, self.bias)


@final
class AutoregressiveStep(nn.Module):
    """One step of the flow.

    Args:
        latent_dim: D.
        hidden: width of the hidden layer, and of the context.
        is_reversed: whether the last dimension is the one that sees no other.
    """

    order: Tensor

    def __init__(self, latent_dim: int, hidden: int, *, is_reversed: bool) -> None:
        super().__init__()
        order = torch.arange(latent_dim)
        order = order.flip(0) if is_reversed else order
        seen = torch.arange(hidden) * latent_dim // hidden  # so many dimensions by each hidden unit
        self.enter = MaskedLinear(order < seen[:, None])
        self.context = nn.Linear(hidden, hidden, bias=False)
        self.leave = MaskedLinear(seen <= order.repeat(2)[:, None])
        self.register_buffer("order", order)

    def parameters_of(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """M and a `(..., D)` of latents `(..., D)`, for context `(..., hidden)` of their items."""
        h = F.elu(self.enter(z) + self.context(context))
        mean, gate = self.leave(h).float().chunk(2, -1)
        return mean, gate + GATE

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The next latents `(..., D)`, and the log-determinant `(...)`."""
        mean, gate = self.parameters_of(z, context)
        return mean + gate.sigmoid() * (z - mean), F.logsigmoid(gate).sum(-1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """The latents before, and the log-determinant of the step from them."""
        before, gate = torch.zeros_like(z), z
        for place in range(len(self.order)):  # each depends on those that are known by now
            mean, gate = self.parameters_of(before, context)
            solved = mean + (z - mean) / gate.sigmoid()
            before = torch.where(self.order == place, solved, before)
        return before, F.logsigmoid(gate).sum(-1)


@final
class AutoregressiveFlow(nn.Module):
    """Some steps one after another.

    Args:
        latent_dim: D.
        steps: T.
        hidden: width of their hidden layers, and of the context.
    """

    def __init__(self, latent_dim: int, steps: int, hidden: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            AutoregressiveStep(latent_dim, hidden, is_reversed=bool(step % 2))
            for step in range(steps)
        )

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """z_T `(..., D)` of z_0, and the log-determinant `(...)`."""
        log_determinant = z.new_zeros(z.shape[:-1])
        for step in self._steps():
            z, change = step(z, context)
            log_determinant = log_determinant + change
        return z, log_determinant

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """z_0 of z_T, and the log-determinant of the way from it."""
        log_determinant = z.new_zeros(z.shape[:-1])
        for step in reversed(list(self._steps())):
            z, change = step.inverse(z, context)
            log_determinant = log_determinant + change
        return z, log_determinant

    def _steps(self) -> Iterator[AutoregressiveStep]:
        for step in self.steps:
            yield cast("AutoregressiveStep", step)


@final
@dataclass(frozen=True, kw_only=True)
class FlowPosterior(Posterior):
    """What a flow makes of normal variables, given the context of each item.

    Attributes:
        mean: μ, `(B, D)`.
        log_variance: log σ², `(B, D)`.
        context: c, `(B, hidden)`.
        flow: the steps, which all items share.

    Example:
        >>> import torch
        >>> from vae_cli.noise import Noise
        >>> q = FlowHead(3, steps=2, hidden=16)(torch.randn(4, 22))
        >>> z, log_q = q.draw(5, Noise(0))
        >>> z.shape, log_q.shape, bool((q.log_prob(z) - log_q).abs().max() < 1e-4)
        (torch.Size([5, 4, 3]), torch.Size([5, 4]), True)
    """

    mean: Tensor
    log_variance: Tensor
    context: Tensor
    flow: AutoregressiveFlow

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of the latents of one item."""
        return tuple(self.mean.shape[-1:])

    @property
    def has_density(self) -> bool:
        """Only of its own samples."""
        return False

    def draw(self, samples: int, noise: Noise | None) -> Drawn:
        """K samples and their log-density; without noise, K times the mode."""
        if noise is None:
            z, log_q = self._transform(torch.zeros_like(self.mean)[None])
            return Drawn(z.expand(samples, -1, -1), log_q.expand(samples, -1))
        shape = repeat_samples(self.mean, samples, 1).shape
        return Drawn(*self._transform(noise.normal(shape, batch_axis=1, dtype=self.mean.dtype)))

    def _transform(self, epsilon: Tensor) -> tuple[Tensor, Tensor]:
        """z_T and log q(z_T|x) for noise `(K, B, D)`."""
        start = torch.addcmul(self.mean, (0.5 * self.log_variance).exp(), epsilon)
        z, log_determinant = self.flow(start, self.context)
        return z, self._log_prob_of_noise(epsilon) - log_determinant

    def _log_prob_of_noise(self, epsilon: Tensor) -> Tensor:
        """Log N(z_0; μ, σ²), `(K, B)`."""
        constant = self.log_variance + math.log(2 * math.pi)
        return -0.5 * (epsilon.square() + constant).sum(-1)

    def rsample(self, samples: int, noise: Noise) -> Tensor:
        """The samples of `draw` without their density."""
        return self.draw(samples, noise).z

    def mode(self) -> Tensor:
        """What becomes of μ: the most probable noise, which the flow carries somewhere.

        The most probable latents of a flow are not known.
        """
        return self.draw(1, None).z[0]

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of `z` `(K, B, D)`, in nats, by T · D passes through the networks."""
        start, log_determinant = self.flow.inverse(z, self.context)
        epsilon = (start - self.mean) * (-0.5 * self.log_variance).exp()
        return self._log_prob_of_noise(epsilon) - log_determinant

    def features(self) -> dict[str, Tensor]:
        """What stands for the item; the moments of a flow are not known."""
        return {"mode": self.mode()}


@final
class FlowHead(Head):
    """Means, log-variances and a context for the steps of a flow, which the head owns.

    Args:
        latent_dim: D.
        steps: T.
        hidden: width of the hidden layers of the flow, and of the context.
        limits: between which log σ² is held; None if there are none.
    """

    def __init__(
        self, latent_dim: int, steps: int, hidden: int, limits: Limits | None = None
    ) -> None:
        super().__init__()
        self.event_shape, self.outputs = (latent_dim,), 2 * latent_dim + hidden
        self.limits, self.flow = limits, AutoregressiveFlow(latent_dim, steps, hidden)

    def forward(self, parameters: Tensor) -> FlowPosterior:
        """The distributions for `(B, outputs)`, in float32."""
        dims = self.latent_dim
        mean, log_variance, context = parameters.float().split(
            [dims, dims, self.outputs - 2 * dims], -1
        )
        if self.limits is not None:
            log_variance = log_variance.clamp(*self.limits)
        return FlowPosterior(
            mean=mean, log_variance=log_variance, context=F.elu(context), flow=self.flow
        )
